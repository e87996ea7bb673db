"""Which language a text is in: by script, and where languages share one, by their commonest small words or letters.

Enough to tell whether a model answered in the language it was asked for. No statistics, no chance, no dependency: the
same text always gets the same language. A text in Latin letters without any small word is English when a word of it
ends as English words do; else it has no language, as a list of names has none.
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["LANGUAGES", "language_of"]

_MAX_READ = 20_000
"""Characters at the start that are looked at."""

_ONE_LANGUAGE = {
    "bn": "\u0980-\u09ff", "pa": "\u0a00-\u0a7f", "gu": "\u0a80-\u0aff", "ta": "\u0b80-\u0bff", "te": "\u0c00-\u0c7f",
    "kn": "\u0c80-\u0cff", "ml": "\u0d00-\u0d7f", "th": "\u0e00-\u0e7f", "ko": "\u1100-\u11ff\uac00-\ud7af",
    "el": "\u0370-\u03ff", "he": "\u0590-\u05ff", "ja": "\u3040-\u30ff", "zh": "\u4e00-\u9fff",
}  # fmt: skip
_SHARED = {
    "arabic": "\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "cyrillic": "\u0400-\u04ff",
    "devanagari": "\u0900-\u097f",
    "latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
}
_SCRIPTS = {name: re.compile(f"[{letters}]") for name, letters in (_ONE_LANGUAGE | _SHARED).items()}
_WORD = re.compile(r"[^\W\d_]+(?:[\u0900-\u0dff\u0300-\u036f]+[^\W\d_]*)*")

_SMALL_WORDS: dict[str, dict[str, str]] = {
    "arabic": {
        "ar": "في من على إلى أن هذا هذه التي الذي كان لا ما عن مع أو هو هي ذلك كل قد لم بعد ولا إذا يمكن",
        "fa": "در به از که این را با است برای آن یک خود تا کرد بر هم نیز می شود شما ما های یا اگر باشد هر",
        "ur": "کے میں ہے کی اور سے کا کو نے پر ہیں ایک یہ کہ اس بھی نہیں تھا جو ہو کر لیے گیا آپ تو ان",
    },
    "devanagari": {
        "hi": "के में है की और से का को ने पर हैं एक यह कि इस भी नहीं था जो हो कर लिए गया आप तो हम मैं हूँ अपने",
        "mr": "आहे आणि या च्या ते हे की तो ती मी आम्ही एक नाही होते होता केला करून त्या साठी मध्ये आहेत काही तर पण जे झाला झाली झाले",
        "ne": "छ र को मा हो यो पनि छन् भने गर्न लागि एक हुन्छ तपाईं गर्ने थियो हाम्रो मेरो गरेको म भएको तर यस छैन",
    },
    "latin": {
        "en": "the of and to in is that it for was on are as with be by this at from or have not you an which i we my",
        "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an ich sie",
        "fr": "de la le et les des en un du une que est pour qui dans par plus pas au sur ne se ce il sont nous je",
        "it": "di e il la che in un per è del una con non si da le i della sono gli più come al mi ma alla nella sulla",
        "es": "de la que el en y los se del las un por con no una su para es al lo como más o pero sus le ha me si",
        "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à",
        "nl": "de het een en van ik te dat die in je niet zijn is was op aan met als voor had er maar om dan of wat",
        "sv": "och i att det som en på är av för med till den har de inte om ett han men var jag sig från vi så kan",
        "da": "og i at det som en på er af for med til den har de ikke om et han men var jeg sig fra vi så kan blev",
        "fi": "ja on ei että se oli hän mutta kun ovat myös niin kuin tai joka jos minä tämä voi olla sen ole nyt sitä",
        "vi": "và của là có cho không được trong một các với người này đã những để khi về từ tôi bạn như đến cũng ra",
        "sw": "na ya wa kwa ni katika za la kama cha hii kuwa huo yake yangu sana pia hiyo si lakini watu mimi ili au",
        "pl": "w i na z się nie do to że jest o jak po co od za ale są dla tak przez tym może jego być czy oraz",
        "tr": "ve bir bu için de da ile olarak çok daha olan gibi ne kadar en ama sonra var mi değil ben o her veya",
    },
}  # fmt: skip
_CYRILLIC = (("uk", "\u0454\u0456\u0457"), ("ru", "\u044b\u044d"), ("bg", "\u044a"))
"""Language to letters the other two do without; first match wins, since Russian has the Bulgarian one too."""
_MARATHI = "\u0933"
"""A letter Hindi and Nepali do without."""
_ENGLISH_ENDINGS = ("tion", "tions", "ing", "ics", "ical", "ness", "ment")
_WORDS_OF = {
    script: {language: frozenset(words.split()) for language, words in languages.items()}
    for script, languages in _SMALL_WORDS.items()
}

LANGUAGES = frozenset(
    {
        *_ONE_LANGUAGE,
        *(language for languages in _SMALL_WORDS.values() for language in languages),
        *(language for language, _ in _CYRILLIC),
    }
)
"""ISO 639-1 codes of the languages that are told apart."""


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of the language most of the text is in; None when that cannot be said."""
    text = text[:_MAX_READ].lower()
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    if counts["ja"] * 5 > counts["zh"] > 0:
        counts["ja"] += counts.pop("zh")
    script = max(counts, key=lambda name: counts[name])
    if not counts[script]:
        return None
    if script == "cyrillic":
        return next((language for language, letters in _CYRILLIC if any(letter in text for letter in letters)), None)
    return _by_small_words(text, _WORDS_OF[script]) if script in _WORDS_OF else script


def _by_small_words(text: str, languages: dict[str, frozenset[str]]) -> str | None:
    seen = Counter(_WORD.findall(text))
    scores = {name: sum(seen[word] for word in words if word in seen) for name, words in languages.items()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best]:
        return best
    if _MARATHI in text and "mr" in languages:
        return "mr"
    return "en" if "en" in languages and any(word.endswith(_ENGLISH_ENDINGS) for word in seen) else None
