"""Invented house rules with questions about them; two in five ask for a rule that was left out on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import random

__all__ = ["NOT_IN_TEXT", "policy_cases"]

NOT_IN_TEXT = "not in the text"


class _Rule(NamedTuple):
    """A sentence with one value in it, and the question that value answers."""

    sentence: str
    question: str
    kind: str


_HOUSES: dict[str, tuple[_Rule, ...]] = {
    "Tool library of Fennick Row": (
        _Rule("A power tool may be kept for {v}.", "For how long may a power tool be kept?", "days"),
        _Rule("Members put down a deposit of {v} for a generator.", "What is the deposit for a generator?", "money"),
        _Rule("Returns are taken back on {v} only.", "On which day are returns taken back?", "weekday"),
        _Rule("Each day of delay costs {v}.", "What does a day of delay cost?", "money"),
        _Rule("Repairs are looked after by {v}.", "Who looks after repairs?", "person"),
        _Rule("No member borrows more than {v} at a time.", "How many items may a member borrow at a time?", "items"),
        _Rule("Blades are sharpened every {v}.", "How often are blades sharpened?", "weeks"),
        _Rule("The workshop bench can be booked for {v}.", "For how long can the workshop bench be booked?", "hours"),
    ),
    "Ferry to Osmund Island": (
        _Rule("Bicycles travel for {v} each way.", "What does a bicycle cost each way?", "money"),
        _Rule("Boarding closes {v} before departure.", "How long before departure does boarding close?", "minutes"),
        _Rule("Dogs wait at {v}.", "Where do dogs wait?", "place"),
        _Rule(
            "A missed crossing can be used again within {v}.", "Within what time can a missed crossing be used?", "days"
        ),
        _Rule("Groups of {v} and more sail at the reduced fare.", "From what size do groups pay less?", "people"),
        _Rule("In winter the last boat leaves at {v}.", "When does the last boat leave in winter?", "time"),
        _Rule("Lost property is kept for {v}.", "For how long is lost property kept?", "weeks"),
        _Rule("Complaints go to {v}.", "To whom do complaints go?", "person"),
    ),
    "Laboratory 9, booking rules": (
        _Rule("The centrifuge is booked in blocks of {v}.", "In what blocks is the centrifuge booked?", "hours"),
        _Rule("Samples stay in the cold room for at most {v}.", "How long may samples stay in the cold room?", "days"),
        _Rule("Night work is approved by {v}.", "Who approves night work?", "person"),
        _Rule("Spills are reported at {v}.", "Where are spills reported?", "place"),
        _Rule("Gloves are ordered every {v}.", "How often are gloves ordered?", "weeks"),
        _Rule("Visitors come on {v}.", "On which day do visitors come?", "weekday"),
        _Rule("Up to {v} may work at once.", "How many may work at once?", "people"),
        _Rule("The door locks itself at {v}.", "When does the door lock itself?", "time"),
    ),
    "Marlow Allotments": (
        _Rule("The yearly rent is {v}.", "What is the yearly rent?", "money"),
        _Rule("Sheds may stand no nearer than {v} to the path.", "How near to the path may a shed stand?", "metres"),
        _Rule("Water is turned off at {v}.", "When is the water turned off?", "time"),
        _Rule("Unworked plots are given away after {v}.", "After how long is an unworked plot given away?", "weeks"),
        _Rule("Bonfires are allowed on {v}.", "On which day are bonfires allowed?", "weekday"),
        _Rule("The waiting list is held by {v}.", "Who holds the waiting list?", "person"),
        _Rule("Hens are limited to {v} a plot.", "How many hens are allowed on a plot?", "items"),
        _Rule("New members pay a joining fee of {v}.", "How much is the joining fee?", "money"),
    ),
    "Corvane Robotics, staff handbook": (
        _Rule("Parental leave is paid for {v}.", "For how long is parental leave paid?", "weeks"),
        _Rule("Expenses are handed in within {v}.", "Within what time are expenses handed in?", "days"),
        _Rule("Meals on the road are refunded up to {v} a day.", "Up to what are meals refunded a day?", "money"),
        _Rule("The probation period lasts {v}.", "How long is the probation period?", "months"),
        _Rule("The team meets every {v}.", "On which day does the team meet?", "weekday"),
        _Rule("First aid is led by {v}.", "Who leads first aid?", "person"),
        _Rule("Core hours begin at {v}.", "When do core hours begin?", "time"),
        _Rule("Unused holiday lapses after {v}.", "After how long does unused holiday lapse?", "months"),
    ),
    "Saltmarsh Theatre, front of house": (
        _Rule("Latecomers are seated after {v}.", "After how long are latecomers seated?", "minutes"),
        _Rule("Tickets are exchanged for a fee of {v}.", "What is the fee for exchanging a ticket?", "money"),
        _Rule("Coats are handed in at {v}.", "Where are coats handed in?", "place"),
        _Rule("The matinee is on {v}.", "On which day is the matinee?", "weekday"),
        _Rule("School parties need {v} of notice.", "How much notice do school parties need?", "weeks"),
        _Rule("The box office closes at {v}.", "When does the box office close?", "time"),
        _Rule("Backstage tours are led by {v}.", "Who leads the backstage tours?", "person"),
        _Rule("A box seats {v}.", "How many does a box seat?", "people"),
    ),
    "Halden Archive, reading room": (
        _Rule("Readers order at most {v} a day.", "How many items may a reader order a day?", "items"),
        _Rule("Orders arrive within {v}.", "Within what time do orders arrive?", "hours"),
        _Rule("A scan costs {v}.", "What does a scan cost?", "money"),
        _Rule("Maps are shown at {v}.", "Where are maps shown?", "place"),
        _Rule("The room is shut on {v}.", "On which day is the room shut?", "weekday"),
        _Rule("Material is put aside for {v}.", "For how long is material put aside?", "days"),
        _Rule("Permission to publish is given by {v}.", "Who gives permission to publish?", "person"),
        _Rule("Lockers are emptied at {v}.", "When are lockers emptied?", "time"),
    ),
    "Birchwater Campsite": (
        _Rule("A pitch with power costs {v} a night.", "What does a pitch with power cost a night?", "money"),
        _Rule("Quiet begins at {v}.", "When does quiet begin?", "time"),
        _Rule(
            "Bookings can be called off up to {v} ahead.", "Up to how long ahead can a booking be called off?", "days"
        ),
        _Rule("Canoes are hired out by {v}.", "Who hires out canoes?", "person"),
        _Rule("Nobody stays longer than {v} in a row.", "How long may anybody stay in a row?", "weeks"),
        _Rule("Fresh bread comes to {v}.", "Where does the fresh bread come to?", "place"),
        _Rule("One pitch takes {v}.", "How many does one pitch take?", "people"),
        _Rule("Tents stand {v} apart.", "How far apart do tents stand?", "metres"),
    ),
    "Warranty of the Loomis kettle": (
        _Rule("The heating element is covered for {v}.", "For how long is the heating element covered?", "months"),
        _Rule(
            "Claims are sent in within {v} of the fault.", "Within what time of the fault are claims sent in?", "days"
        ),
        _Rule("The buyer bears {v} of the postage.", "How much of the postage does the buyer bear?", "money"),
        _Rule("A replacement is sent within {v}.", "Within what time is a replacement sent?", "weeks"),
        _Rule("The lid hinge is covered for {v}.", "For how long is the lid hinge covered?", "months"),
        _Rule("Disputes are settled by {v}.", "Who settles disputes?", "person"),
        _Rule("The service line opens at {v}.", "When does the service line open?", "time"),
        _Rule("Repairs are done at {v}.", "Where are repairs done?", "place"),
    ),
    "Shared office Quay 4": (
        _Rule("A day pass is {v}.", "What does a day pass cost?", "money"),
        _Rule("Meeting rooms are free for {v} a month.", "For how long are meeting rooms free each month?", "hours"),
        _Rule("Notice to leave is {v}.", "How long is the notice to leave?", "weeks"),
        _Rule("Guests register at {v}.", "Where do guests register?", "place"),
        _Rule("The kitchen is cleaned on {v}.", "On which day is the kitchen cleaned?", "weekday"),
        _Rule("Keys are handed out by {v}.", "Who hands out keys?", "person"),
        _Rule("A phone box takes {v}.", "How many does a phone box take?", "people"),
        _Rule("The alarm is set at {v}.", "When is the alarm set?", "time"),
    ),
}
_FILLER = [
    "These rules replace the earlier ones.",
    "A copy hangs beside the entrance.",
    "Please read them before your first visit.",
    "They were agreed at the general meeting.",
    "Exceptions are written down and signed.",
    "The house may change them with due notice.",
    "Children come with a grown-up.",
    "Photographs for private use are welcome.",
    "Thank you for keeping the place tidy.",
]
_PEOPLE = ["Marta Oyelaran", "Piet Vandermolen", "Asha Lindqvist", "Rufus Tremaine", "Noor Castell", "Ewa Brzoza",
           "Hugo Santerre", "Linh Abara", "Calla Fenwick", "Dario Holm", "Ysolde Park", "Bram Achterberg"]  # fmt: skip
_PLACES = ["the blue door", "desk 3", "the east lodge", "room 214", "the harbour kiosk", "gate C", "the upper hall",
           "counter 7", "the green hut", "level 2"]  # fmt: skip
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_COUNTED = {"days": (2, 45), "weeks": (2, 16), "months": (2, 36), "hours": (2, 48), "minutes": (5, 55),
            "items": (2, 14), "people": (2, 24), "metres": (2, 12)}  # fmt: skip


def policy_cases(rng: random.Random, *, n_cases: int) -> list[dict[str, Any]]:
    """Return question cases, three of five answerable, every text different."""
    houses = list(_HOUSES)
    return [_case(rng, index=index, house=houses[index % len(houses)]) for index in range(n_cases)]


def _case(rng: random.Random, *, index: int, house: str) -> dict[str, Any]:
    # 7 is prime to 5 and to the number of houses: every house gets answerable and unanswerable questions.
    is_answerable = (index * 7 + index // len(_HOUSES)) % 5 < 3
    rules = rng.sample(_HOUSES[house], 7)
    *shown, hidden = rules
    values = _values(rng, rules)
    asked = rng.choice(shown) if is_answerable else hidden
    sentences = [rule.sentence.format(v=values[rule.question]) for rule in shown]
    quote = asked.sentence.format(v=values[asked.question]) if is_answerable else None
    extra = rng.sample(_FILLER, 2)
    if is_answerable and rng.random() < 0.4:
        extra.append(_superseded(rng, rule=asked, current=values[asked.question]))
    answer = values[asked.question] if is_answerable else NOT_IN_TEXT
    case: dict[str, Any] = {
        "id": f"pol-{index + 1:03d}",
        "vars": {
            "document": _page(rng, house=house, sentences=_woven(rng, sentences, extra)),
            "question": asked.question,
        },
        "expected": answer,
        "expect": "answer" if is_answerable else "abstain",
        "tags": ["answerable" if is_answerable else "unanswerable", f"value:{asked.kind}"],
        "known_good": [{"answer": answer, "quote": quote}],
    }
    if index % 17 == 0:
        case["known_bad"] = _known_bad(rng, answer=answer, kind=asked.kind)
    return case


def _known_bad(rng: random.Random, *, answer: str, kind: str) -> list[dict[str, Any]]:
    wrong = _other(rng, kind=kind, taken={answer}) if answer == NOT_IN_TEXT else NOT_IN_TEXT
    return [
        {"answer": {"answer": wrong, "quote": None}, "fails": ["exact"]},
        {"answer": {"answer": answer}, "fails": ["json_schema"]},
        {"answer": "I could not say.", "fails": ["json_parse", "json_tolerant", "json_schema", "exact"]},
    ]


def _values(rng: random.Random, rules: list[_Rule]) -> dict[str, str]:
    """Return one value a rule, no two alike, so that a question has one answer in the text."""
    values: dict[str, str] = {}
    for rule in rules:
        values[rule.question] = _other(rng, kind=rule.kind, taken=set(values.values()))
    return values


def _other(rng: random.Random, *, kind: str, taken: set[str]) -> str:
    while (value := _value(rng, kind)) in taken:
        pass
    return value


def _value(rng: random.Random, kind: str) -> str:
    if kind == "money":
        return rng.choice(("EUR {}", "{} euros", "USD {}", "GBP {}.50")).format(rng.randrange(3, 240))
    if kind == "time":
        return f"{rng.randrange(6, 23)}:{rng.choice(('00', '15', '30', '45'))}"
    if kind in _COUNTED:
        low, high = _COUNTED[kind]
        return f"{rng.randrange(low, high)} {kind}"
    return rng.choice({"person": _PEOPLE, "place": _PLACES, "weekday": _WEEKDAYS}[kind])


def _superseded(rng: random.Random, *, rule: _Rule, current: str) -> str:
    before = _other(rng, kind=rule.kind, taken={current})
    return f"(Up to last year's edition this read: {rule.sentence.format(v=before)} It no longer holds.)"


def _woven(rng: random.Random, sentences: list[str], extra: list[str]) -> list[str]:
    mixed = list(sentences)
    for sentence in extra:
        mixed.insert(rng.randrange(len(mixed) + 1), sentence)
    return mixed


def _page(rng: random.Random, *, house: str, sentences: list[str]) -> str:
    style = rng.randrange(5)
    if style == 0:
        return f"{house}\n\n" + " ".join(sentences)
    if style == 1:
        clauses = [f"§ {number}  {sentence}" for number, sentence in enumerate(sentences, start=1)]
        return "\n".join([house.upper(), *clauses])
    if style == 2:
        return f"# {house}\n" + "\n".join(f"* {sentence}" for sentence in sentences)
    if style == 3:
        half = len(sentences) // 2
        halves = (" ".join(sentences[:half]), " ".join(sentences[half:]))
        return "\n\n".join((f"Notice, edition {rng.randrange(2, 9)}: {house}", *halves))
    return f"From: the office\nTo: everyone\nAbout: {house}\n\n" + "\n".join(f"- {sentence}" for sentence in sentences)
