"""Words of model names and what they stand for: tables only."""

from __future__ import annotations

__all__ = ["BOTH", "CONTEXTS", "FAMILIES", "PRECISIONS", "RENAMED", "ROUTING", "SOFT", "VARIANTS", "VENDORS"]

# fmt: off
FAMILIES = frozenset({
    "gpt", "chatgpt", "o1", "o3", "o4", "o5", "davinci", "claude", "gemini", "gemma", "palm", "bison",
    "deepseek", "mistral", "mixtral", "ministral", "magistral", "codestral", "devstral", "pixtral", "voxtral",
    "qwen", "qwq", "qvq", "llama", "grok", "command", "aya", "nova", "titan", "jamba", "jurassic", "phi", "yi",
    "glm", "chatglm", "kimi", "moonshot", "minimax", "abab", "ernie", "hunyuan", "doubao", "seed", "step",
    "sonar", "nemotron", "granite", "falcon", "dbrx", "olmo", "solar", "exaone", "internlm", "baichuan", "mimo",
    "ling", "ring", "longcat", "lfm", "wizardlm", "hermes", "vicuna", "zephyr", "opt", "starcoder", "arctic",
    "reka", "palmyra", "codellama", "codegemma", "embeddinggemma", "medgemma", "openhermes", "starling", "smollm",
    "cogito", "dolphin", "stablelm", "starchat", "trinity", "bielik", "eurollm", "apertus",
})
"""What a model is called by its makers; another family is another model."""

VARIANTS = frozenset({
    "mini", "nano", "micro", "tiny", "small", "medium", "large", "xlarge", "huge", "big", "lite", "light",
    "ultra", "max", "plus", "pro", "premier", "flash", "turbo", "fast", "express", "air", "opus", "sonnet",
    "haiku", "instant", "vision", "vl", "omni", "audio", "realtime", "image", "embed", "embedding", "tts",
    "transcribe", "speech", "search", "research", "reasoning", "reasoner", "thinking", "think", "distill",
    "coder", "code", "codex", "math", "oss", "guard", "safeguard", "safety", "scout", "maverick", "behemoth",
    "saba", "nemo", "creative", "speciale", "base", "heavy", "r", "non", "ft", "next", "translate",
})
"""What makes another model within a generation: its size class, its purpose, how it thinks."""

SOFT = frozenset({
    "preview", "exp", "experimental", "beta", "alpha", "rc", "test", "instruct", "instruction", "chat", "it",
    "hf", "versatile", "fp4", "fp8", "fp16", "bf16", "int4", "int8", "awq", "gptq", "gguf", "mxfp4", "nvfp4",
})
"""What may be left unsaid: stage of release, chat tuning, quantisation. On one side only, the names cannot say."""

VENDORS = frozenset({
    "meta", "openai", "anthropic", "google", "amazon", "aws", "azure", "microsoft", "mistralai", "nvidia",
    "ibm", "cohere", "zai", "zhipu", "alibaba", "databricks", "snowflake", "vertex", "bedrock", "cerebras",
    "groq", "together", "fireworks", "models", "maas", "cloud", "default", "open", "free",
})
"""Who sells or serves it: no part of the identity."""

ROUTING = frozenset({
    "free", "nitro", "floor", "extended", "exacto", "online", "thinking", "beta", "fastest", "cheapest", "preferred",
    "cerebras", "cohere", "featherless-ai", "fireworks-ai", "groq", "hf-inference", "hyperbolic", "nebius", "novita",
    "nscale", "sambanova", "scaleway", "together",
})
"""Suffixes after a colon that choose how OpenRouter or Hugging Face route, not which weights they serve."""

PRECISIONS = frozenset({
    "turbo", "fast", "lite",
})
"""Beside a size in the name these tell of the host's build of open weights; without one, of another model."""

CONTEXTS = frozenset({
    "4096", "8192", "16384", "32768", "65536", "131072",
})
"""Numbers that are a host's context length, not a generation."""

RENAMED = frozenset({
    ("gpt-4-turbo-preview", "gpt-4-1106-preview"),
    ("gpt-4-turbo-preview", "gpt-4-0125-preview"),
})
"""Aliases whose model carries another name: asked, served."""

BOTH = frozenset({
    "deepseek", "mistral", "qwen", "minimax", "moonshot",
})
"""Vendors named like their models: before a dot they are the vendor."""

# fmt: on
