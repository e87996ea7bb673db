"""Which language a text is in."""

from __future__ import annotations

import pytest

from evalkit.scorers.languages import LANGUAGES, language_of

TEXTS = {
    "en": "This is the house that we live in.",
    "de": "Das ist das Haus, in dem wir leben, und es ist nicht alt.",
    "fr": "Voici la maison dans laquelle nous vivons, elle est pour tous.",
    "it": "Questa è la casa in cui viviamo, ma non è una casa della nonna.",
    "es": "Esta es la casa en la que vivimos, pero no es una casa para los niños.",
    "pt": "Esta é a casa em que não moramos, uma casa para os meninos.",
    "nl": "Dit is het huis waar wij in wonen, en het is niet van ons.",
    "sv": "Det är huset som vi bor i, och det är inte gammalt.",
    "fi": "Tämä on talo, jossa me asumme, ja se ei ole vanha.",
    "vi": "Đây là ngôi nhà của tôi và nó không có cửa.",
    "sw": "Hii ni nyumba ya watu wa mji na si kubwa.",
    "pl": "To jest dom, w którym nie mieszkamy, ale się podoba.",
    "tr": "Bu bir ev ve çok güzel, ama bizim için değil.",
    "ru": "Это дом, в котором мы жили.",
    "bg": "Тази къща, в която живеем.",
    "uk": "Ця хата велика, її всі знають.",
    "hi": "यह वह घर है जिसमें हम रहते हैं और यह बड़ा है",
    "mr": "हे घर आहे आणि ते मोठे आहे",
    "ne": "यो मेरो घर हो र यो ठूलो छ",
    "ar": "هذا هو البيت الذي نعيش في منذ سنوات",
    "fa": "این خانه‌ای است که ما در آن زندگی می کنیم",
    "ur": "یہ وہ گھر ہے جس میں ہم رہتے ہیں",
    "ja": "これは私たちの家です",
    "zh": "这是我们住的房子",
    "ko": "이것은 우리 집입니다",
    "th": "นี่คือบ้าน",
    "el": "Αυτό είναι το σπίτι",
    "he": "זה הבית",
}


@pytest.mark.parametrize("language", TEXTS)
def test_one_sentence_is_enough(language):
    """A sentence of everyday words is recognised, in capitals too."""
    assert language in LANGUAGES
    assert language_of(TEXTS[language]) == language
    assert language_of(TEXTS[language].upper()) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", None),
        ("12 + 3", None),
        ("ALICE BRIAN DAVID", None),
        ("Transit Solutions", "en"),
        ("Щ", None),
        ("सकाळी", "mr"),
    ],
)
def test_little_text(text, language):
    """Without a small word a Latin text is English by its endings, or nothing."""
    assert language_of(text) == language
