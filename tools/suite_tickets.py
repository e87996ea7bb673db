"""Invented support tickets: one request each, told in many voices, often beside a matter that is already closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

__all__ = ["LABELS", "ticket_cases"]

LABELS = ("billing", "access", "bug", "delivery", "cancellation", "none")

_CORES: dict[str, list[str]] = {
    "billing": [
        "I was charged {money} twice for order {order} and I need one of the two payments back.",
        "The invoice for {month} shows {money}, but the plan we agreed on is a third of that. Please correct it.",
        "Could you put our new company address on invoice {order}? Accounting will not pay it otherwise.",
        "The voucher {code} was accepted at checkout and yet the full {money} left my account.",
        "I need the receipts for everything I paid between January and {month}; the portal only offers the last one.",
        "Why does the {product} suddenly cost {money} a month? Nobody told us about a new price.",
        "My card was replaced. Please take the {month} fee from the new one; I cannot find where to change it.",
        "Reverse charge should apply to us, but you added tax: {money} too much on bill {order}.",
        "You promised to return {money} within ten days of {month} 3rd. The account is still empty.",
        "Für Rechnung {order} wurde der Betrag von {money} doppelt abgebucht. Bitte um Rückzahlung.",
        "La facture {order} indique {money} alors que le devis était bien plus bas. Merci de la rectifier.",
        "El recibo de {month} incluye {money} de un servicio que no tenemos contratado. ¿Pueden devolverlo?",
    ],
    "access": [
        "The reset mail for {mail} never arrives, so I have been locked out since {day}.",
        "After changing phones the six-digit codes are refused and I cannot sign in to the {product}.",
        "Please give my colleague {name} the same rights as me in the {product}; she only sees an empty page.",
        "My account says 'suspended for review'. I need it open again to get to our files.",
        "Single sign-on sends us back to the login page for ever since we renamed our domain.",
        "{name} has left the company. Please hand the owner role of the workspace over to me.",
        "I typed the password wrong five times and now it tells me to contact you. User name {mail}.",
        "The invitation link you sent to {mail} on {day} has expired before I could use it. A new one, please.",
        "We need to log in from our branch office, but the {product} says our address range is blocked.",
        "Seit {day} kann ich mich nicht mehr anmelden, das Konto {mail} sei gesperrt. Bitte freischalten.",
        "Impossible de me connecter : le code reçu par SMS est toujours refusé pour {mail}.",
        "No puedo entrar con {mail}; dice que el usuario no existe, y ayer todavía funcionaba.",
    ],
    "bug": [
        "Every time I export more than {count} rows from the {product}, the file comes out empty.",
        "The {product} freezes when I rotate the tablet; only closing it completely helps.",
        "Dates entered as 31 {month} are saved as the day before. It happens to the whole team.",
        "Since the update on {day} the search ignores umlauts: looking for 'Müller' finds nothing.",
        "The total at the bottom of the report is off by exactly one line whenever a filter is on.",
        "Attaching a photo crashes the {product} on my phone, model from last year, every single time.",
        "Notifications arrive {count} minutes late although the clock on both devices is right.",
        "The dark theme prints white letters on white paper. Screenshot attached.",
        "Undo in the {product} restores the wrong paragraph; I lost half a page on {day}.",
        "Der Button 'Speichern' im {product} reagiert nicht, wenn das Fenster schmaler als ein Drittel ist.",
        "Depuis {day}, le {product} affiche l'erreur {code} dès qu'on trie la liste par date.",
        "Al abrir el {product} con {count} pestañas se queda en blanco y hay que reiniciarlo.",
    ],
    "delivery": [
        "Parcel {order} has been 'out for delivery' since {day}. Where is it?",
        "The box arrived, but only {count} of the lamps were in it and the rest is missing.",
        "The courier left the {product} with a neighbour who has moved out. Can you find it again?",
        "Please send order {order} to the office instead of my home; it has not left your warehouse yet.",
        "The tracking number {code} is unknown to the carrier. Did you ever hand it over?",
        "What arrived on {day} was somebody else's order: a kettle, and I had bought a {product}.",
        "The crate was soaked through and the {product} inside is dented. I want another one sent.",
        "Nobody rang, yet the card says I was not at home. Please have them come again on {day}.",
        "Can order {order} still reach us before the fair in {month}? The date on the page keeps moving.",
        "Die Sendung {order} liegt laut Verfolgung seit {day} im Depot und bewegt sich nicht.",
        "Le colis {order} est indiqué comme livré {day}, mais je n'ai rien reçu.",
        "El pedido {order} llegó sin los tornillos; ¿pueden enviar solo esa bolsa?",
    ],
    "cancellation": [
        "Please end our subscription to the {product} at the end of {month} and confirm it in writing.",
        "I no longer want order {order}. It has not been shipped, so please stop it.",
        "We are closing the shop and will not renew. What do you need from me to terminate contract {code}?",
        "The trial is over and the {product} is not for us. Do not continue it into a paid plan.",
        "Take {name}'s seat off our plan from {month}; from then on we need one licence fewer.",
        "I signed up on {day} and am using my right to withdraw from the contract.",
        "Delete the account {mail} and stop the membership that belongs to it.",
        "Our board has decided to leave at the next possible date. Please tell us which day that is and cancel for it.",
        "Booking {code} for {day}: we cannot come, please call it off.",
        "Hiermit kündige ich den Vertrag {code} zum nächstmöglichen Termin.",
        "Je souhaite résilier mon abonnement au {product} à partir de {month}.",
        "Quiero dar de baja el servicio {product}; por favor, no lo renueven en {month}.",
    ],
    "none": [
        "Just wanted to say that {name} on your phone line was wonderful on {day}. Nothing else!",
        "Do you take part in the careers fair in {month}? I study design and would like to meet you.",
        "I write for a trade paper and would like a quote on the {product} for an article.",
        "Dear owner, we can bring your site to the first page of results for only {money}. Interested?",
        "Is your head office the yellow building near the station? We are planning a walking tour.",
        "Out of office: I am away until {day}. In urgent cases write to {mail}.",
        "Wrong address, sorry, this was meant for my plumber. Please ignore it.",
        "Our school class would like to visit a warehouse in {month}; {count} children, well behaved.",
        "Which font do you use in the {product} logo? It is for a poster about lettering.",
        "Ich bin bis {day} nicht im Haus und lese meine Post danach.",
        "Bravo pour votre vitrine de {month}, toute la rue en parle !",
        "Vendemos toner a buen precio, desde {money} la caja. ¿Con quién puedo hablar?",
    ],
}
_CLOSED = [
    ("delivery", "The parcel I asked about last week has turned up, by the way."),
    ("access", "My login works again, thank you for that."),
    ("billing", "The double payment from spring is settled, no need to look at it."),
    ("bug", "The crash I reported earlier is gone since the last update."),
    ("cancellation", "I did think about leaving you in the summer, but we are staying."),
    ("none", "Ignore ticket {code}, that one is solved."),
    ("billing", "Your colleague already helped me with the wrong address on the bill."),
]
"""Matters that need nothing more, by the label they would have had."""
_CONTEXT = [
    "We have been customers for {count} years.",
    "I am writing from my phone, excuse the typing.",
    "This is the second time I write about it.",
    "I tried the help page first, it did not get me any further.",
    "We are a small team of {count}.",
    "My manager is asking me every day.",
    "I am in the office until four.",
    "Reference on your letter: {code}.",
    "I am not in a hurry.",
    "It is rather urgent for us.",
]
_PRODUCTS = ["planner", "till app", "photo archive", "route map", "standing desk", "meeting tool", "wall clock",
             "stock list", "label printer", "time sheet"]  # fmt: skip
_NAMES = ["Ines Okafor", "Tomas Brandl", "Wren Castellan", "Yuki Andrade", "Mirela Voss", "Jonas Ekwall", "Priya Lund",
          "Odile Marchetti", "Samir Thorne", "Greta Nwosu"]  # fmt: skip
_MONTHS = ["March", "April", "May", "June", "August", "September", "October"]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "12 May", "3 June"]


def ticket_cases(rng: random.Random, *, n_cases: int) -> list[dict[str, Any]]:
    """Return ticket cases, labels in equal numbers, every text different."""
    frames = (_mail, _chat, _form, _call_note, _plain)
    cases: list[dict[str, Any]] = []
    seen: set[str] = set()
    while len(cases) < n_cases:
        index = len(cases)
        label = LABELS[index % len(LABELS)]
        core = _CORES[label][(index // len(LABELS)) % len(_CORES[label])]
        frame = rng.choice(frames)
        text = frame(rng, _story(rng, core=core, label=label))
        if text in seen:
            continue
        seen.add(text)
        case: dict[str, Any] = {
            "id": f"tic-{index + 1:03d}",
            "vars": {"ticket": text, "options": ", ".join(rng.sample(LABELS[:-1], 5))},
            "expected": label,
            "tags": [f"label:{label}", f"channel:{frame.__name__.strip('_')}"],
            "known_good": [{"label": label}],
        }
        if index % 25 == 0:
            case["known_bad"] = _known_bad(label)
        cases.append(case)
    return cases


def _known_bad(label: str) -> list[dict[str, Any]]:
    other = LABELS[(LABELS.index(label) + 1) % len(LABELS)]
    return [
        {"answer": {"label": other}, "fails": ["choice"]},
        {"answer": {"label": "complaint"}, "fails": ["json_schema", "choice"]},
        {"answer": {"label": label, "confidence": 0.9}, "fails": ["json_schema"]},
        {"answer": f"The label is {label}", "fails": ["json_parse", "json_tolerant", "json_schema"]},
    ]


def _story(rng: random.Random, *, core: str, label: str) -> str:
    """Return the request with a sentence of context and, two times in three, another matter already closed."""
    sentences = [core, rng.choice(_CONTEXT)]
    rng.shuffle(sentences)
    if rng.random() < 2 / 3:
        sentences.insert(rng.randrange(3), rng.choice([text for topic, text in _CLOSED if topic != label]))
    return _filled(rng, " ".join(sentences))


def _filled(rng: random.Random, text: str) -> str:
    name = rng.choice(_NAMES)
    return text.format(
        money=rng.choice(("{0}.50 EUR", "${0}", "£{0}.20", "{0} Fr.")).format(rng.randrange(19, 480)),
        order=rng.randrange(30000, 99999),
        month=rng.choice(_MONTHS),
        code=f"{rng.choice('KLMQZ')}{rng.randrange(100, 999)}-{rng.randrange(10, 99)}",
        product=rng.choice(_PRODUCTS),
        mail=f"{name.split()[0].lower()}@{rng.choice(('example.org', 'example.net', 'example.com'))}",
        name=name,
        day=rng.choice(_DAYS),
        count=rng.choice((3, 4, 6, 8, 15, 40)),
    )


def _mail(rng: random.Random, story: str) -> str:
    greeting = rng.choice(("Hello,", "Dear team,", "Good morning,", "Hi there,", "To whom it may concern,"))
    farewell = rng.choice(("Best regards", "Thanks in advance", "Kind regards", "Cheers"))
    subject = rng.choice(("Question", "Please help", "Your service", "Request", "(no subject)", "Re: hello"))
    return f"Subject: {subject}\n\n{greeting}\n\n{story}\n\n{farewell}\n{rng.choice(_NAMES)}"


def _chat(rng: random.Random, story: str) -> str:
    name, hour, minute = rng.choice(_NAMES).split()[0], rng.randrange(8, 18), rng.randrange(50)
    said = ("hello, is somebody there?", story, "are you still there?")
    return "\n".join(f"[{hour:02d}:{minute + 3 * turn:02d}] {name}: {text}" for turn, text in enumerate(said))


def _form(rng: random.Random, story: str) -> str:
    return (
        f"Contact form #{rng.randrange(1000, 9999)}\nName: {rng.choice(_NAMES)}\n"
        f"Topic chosen by the customer: {rng.choice(('Other', 'General', 'Feedback', '-'))}\nMessage: {story}"
    )


def _call_note(rng: random.Random, story: str) -> str:
    return (
        f"Voicemail, transcribed by machine, {rng.randrange(20, 95)} seconds, caller {rng.choice(_NAMES)}:\n"
        f'"Yes, hello, {story[0].lower()}{story[1:]} You can call me back, bye."'
    )


def _plain(rng: random.Random, story: str) -> str:
    return f"{story}\n-- \n{rng.choice(_NAMES)}, sent on {rng.choice(_DAYS)}"
