"""Invented invoices: facts first, then a page that shows them among things that must not be taken for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

__all__ = ["invoice_cases"]

_GOODS = {
    "en": ["Hinge set, brushed steel", "Safety goggles", "Oak veneer sheet 2440", "Label roll 62 mm", "Site survey",
           "Pressure gauge", "Cable tray, 3 m", "Fitting and testing", "Translation, 1,200 words", "Desk lamp, matt",
           "Filter cartridge F7", "Hosting, one month", "Pallet wrap", "Replacement key", "Archive box, A4"],
    "de": ["Scharnier, Edelstahl", "Wartung Heizung", "Kabelkanal 2 m", "Druckpapier A4, 80 g", "Anfahrt Zone 2",
           "Filtermatte G4", "Beratung vor Ort", "Etiketten, 500 Stück", "Schutzbrille", "Holzdübel 10 mm"],
    "fr": ["Papier kraft, rouleau", "Réparation du volet", "Lampe de bureau", "Forfait entretien",
           "Joint torique 12 mm",
           "Traduction juridique", "Boîte d'archives", "Peinture mate, 5 l", "Câble souple 3 m", "Déplacement"],
    "sv": ["Kopieringspapper A4", "Montering av hyllplan", "Skyddsglasögon", "Servicebesök", "Kabelränna 2 m",
           "Etikettrulle", "Filterpatron", "Städning, trapphus", "Skrivbordslampa", "Arkivkartong"],
}  # fmt: skip
_SELLERS = {
    "en": ["Harrow & Tindle Ltd", "Kestrel Lane Print", "Brightmoor Tools", "Oxbow Cable Works", "Penhallow Survey Co",
           "Tern Street Joinery", "Larkfield Hosting", "Maple Quay Supplies"],
    "de": ["Nordhain Technik GmbH", "Vossberg Haustechnik", "Papierhof Lindau GmbH", "Kranich Werkzeuge KG"],
    "fr": ["Atelier Brunelle SARL", "Papeterie des Aulnes", "Volets du Marais", "Lumière Castagne SAS"],
    "sv": ["Granviks Kontor AB", "Sjöholm Service AB", "Björkdal Montage", "Tallmo El & Ljus AB"],
}  # fmt: skip
_BUYERS = ["Ostrava Bay Brewing", "Finch Academy", "Delmar Dental Group", "Quillon Logistics", "Saltmarsh Theatre",
           "Ridgeway Housing Trust", "Corvane Robotics", "Melusine Bakery", "Halden Rowing Club",
           "Tamsin Ward Studio",
           "Verity Street Clinic", "Bluebell Nurseries", "Ingram Maps", "Pontefield Council",
           "Zephyr Cycles"]  # fmt: skip
_WORDS = {
    "en": {"invoice": "Invoice", "date": "Invoice date", "due": "Payment due", "to": "Bill to", "po": "Your order",
           "vat_id": "VAT no.", "net": "Subtotal", "tax": "VAT", "total": "Total due", "qty": "Qty",
           "item": "Description", "price": "Unit price", "amount": "Amount"},
    "de": {"invoice": "Rechnung Nr.", "date": "Rechnungsdatum", "due": "Zahlbar bis", "to": "An",
           "po": "Ihre Bestellung", "vat_id": "USt-IdNr.", "net": "Nettobetrag", "tax": "MwSt.",
           "total": "Gesamtbetrag",
           "qty": "Menge", "item": "Bezeichnung", "price": "Einzelpreis", "amount": "Betrag"},
    "fr": {"invoice": "Facture n°", "date": "Date de facture", "due": "Échéance", "to": "Client",
           "po": "Votre commande", "vat_id": "N° TVA", "net": "Total HT", "tax": "TVA", "total": "Total TTC",
           "qty": "Qté", "item": "Désignation", "price": "PU HT", "amount": "Montant"},
    "sv": {"invoice": "Fakturanr", "date": "Fakturadatum", "due": "Förfallodag", "to": "Kund", "po": "Er order",
           "vat_id": "Momsreg.nr", "net": "Netto", "tax": "Moms", "total": "Att betala", "qty": "Antal",
           "item": "Benämning", "price": "À-pris", "amount": "Belopp"},
}  # fmt: skip
_NOISE = {
    "en": ["Delivery note {a} was signed on {d}.", "Invoice {b} from last quarter has been settled, thank you.",
           "Account balance before this invoice: {m}", "Customer no. {a}", "Bank: sort code 00-11-{c}, account {a}",
           "Quote {b} of {d} is replaced by this document.", "Late payments are charged 1.5 per month."],
    "de": ["Lieferschein {a} vom {d}", "Die Rechnung {b} ist bereits beglichen, vielen Dank.", "Kundennummer {a}",
           "Angebot {b} vom {d} verliert seine Gültigkeit.", "Bei Barzahlung gewähren wir keinen Abzug.",
           "Saldo vor dieser Rechnung: {m}"],
    "fr": ["Bon de livraison {a} du {d}", "La facture {b} est déjà réglée, merci.", "Code client {a}",
           "Le devis {b} du {d} est annulé.", "Solde antérieur : {m}", "Aucun escompte pour paiement anticipé."],
    "sv": ["Följesedel {a}, {d}", "Faktura {b} är betald, tack.", "Kundnummer {a}", "Offert {b} från {d} ersätts.",
           "Tidigare saldo: {m}", "Dröjsmålsränta debiteras enligt lag."],
}  # fmt: skip
_MONTHS = {
    "en": ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"],
    "de": ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
           "Dezember"],
    "fr": ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
           "novembre", "décembre"],
    "sv": ["januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober",
           "november", "december"],
}  # fmt: skip
_CURRENCY = {"en": ["USD", "GBP", "EUR", "CHF"], "de": ["EUR", "CHF"], "fr": ["EUR", "CHF"], "sv": ["SEK", "EUR"]}
_RATES = {"en": [20.0, 5.0, 8.1], "de": [19.0, 7.0], "fr": [20.0, 5.5, 10.0], "sv": [25.0, 12.0]}
_COUNTRY = {"en": "GB", "de": "DE", "fr": "FR", "sv": "SE"}
_SEPARATORS = {"en": (",", "."), "de": (".", ","), "fr": ("\u202f", ","), "sv": (" ", ",")}


@dataclass(frozen=True)
class _Page:
    """An invoice's facts with the habits of the country it is written in."""

    facts: dict[str, Any]
    language: str
    rng: random.Random

    def money(self, value: float) -> str:
        """Write an amount the local way."""
        thousands, point = _SEPARATORS[self.language]
        if self.facts["currency"] == "CHF":
            thousands, point = "'", "."
        whole = f"{value:,.2f}"
        return whole.replace(",", "\0").replace(".", point).replace("\0", thousands)

    def number(self, value: float) -> str:
        """Write a rate or a quantity without idle zeros."""
        return f"{value:g}".replace(".", _SEPARATORS[self.language][1])

    def day(self, iso: str) -> str:
        """Write a date in a form that can be read one way only."""
        when = date.fromisoformat(iso)
        month = _MONTHS[self.language][when.month - 1]
        style = self.rng.randrange(3)
        if style == 0 or self.language == "sv":
            return iso
        if self.language == "de":
            return f"{when.day}. {month} {when.year}" if style == 1 else f"{when:%d.%m.%Y}"
        if self.language == "en" and style == 1:
            return f"{month} {when.day}, {when.year}"
        return f"{when.day} {month} {when.year}"

    def noise(self) -> str:
        """Return a line that looks like a fact and is none."""
        rng = self.rng
        return rng.choice(_NOISE[self.language]).format(
            a=rng.randrange(20000, 99999),
            b=f"{rng.choice('ABKR')}-{rng.randrange(100, 999)}",
            c=rng.randrange(10, 99),
            d=self.day((date(2025, 9, 1) + timedelta(days=rng.randrange(60))).isoformat()),
            m=self.money(rng.randrange(5000, 90000) / 100),
        )


def invoice_cases(rng: random.Random, *, n_cases: int) -> list[dict[str, Any]]:
    """Return invoice cases; every one its own seller, layout and language mix."""
    layouts = (_letterhead, _pipes, _till, _pairs, _mail)
    cases = []
    for index in range(n_cases):
        language = rng.choices(("en", "de", "fr", "sv"), weights=(5, 2, 2, 1))[0]
        page = _Page(facts=_facts(rng, language=language), language=language, rng=rng)
        layout = layouts[index % len(layouts)]
        case: dict[str, Any] = {
            "id": f"inv-{index + 1:03d}",
            "vars": {"document": layout(page)},
            "expected": page.facts,
            "tags": [f"lang:{language}", f"layout:{layout.__name__.strip('_')}"],
        }
        if index % 20 == 0:
            case["known_bad"] = _known_bad(page.facts)
        cases.append(case)
    return cases


def _known_bad(facts: dict[str, Any]) -> list[dict[str, Any]]:
    before_tax = {**facts, "total": facts["net"], "lines": facts["lines"][:1], "invoice_number": "unknown"}
    undated = {key: value for key, value in facts.items() if key != "issue_date"}
    graded = ["fields", "fields_precision", "fields_recall"]
    return [
        {"answer": before_tax, "fails": graded},
        {"answer": undated, "fails": ["json_schema", "fields", "fields_recall"]},
        {"answer": "No invoice was found.", "fails": ["json_parse", "json_tolerant", "json_schema", *graded]},
    ]


def _facts(rng: random.Random, *, language: str) -> dict[str, Any]:
    issued = date(2026, 1, 5) + timedelta(days=rng.randrange(280))
    lines = [_line(rng, goods=good) for good in rng.sample(_GOODS[language], rng.choice((2, 2, 3, 3, 4)))]
    net = round(sum(line["amount"] for line in lines), 2)
    rate = rng.choice(_RATES[language]) if rng.random() < 0.85 else None
    prefix = rng.choice(("INV-", "2026/", "RE", "F26-", "HT-", ""))
    has_due, has_id, has_order = rng.random() < 0.75, rng.random() < 0.7, rng.random() < 0.5
    return {
        "invoice_number": f"{prefix}{rng.randrange(1000, 99999)}",
        "issue_date": issued.isoformat(),
        "due_date": (issued + timedelta(days=rng.choice((10, 14, 21, 30, 45)))).isoformat() if has_due else None,
        "currency": rng.choice(_CURRENCY[language]),
        "seller": {
            "name": rng.choice(_SELLERS[language]),
            "vat_id": f"{_COUNTRY[language]}{rng.randrange(10**8, 10**9)}" if has_id else None,
        },
        "buyer": {
            "name": rng.choice(_BUYERS),
            "purchase_order": f"PO{rng.randrange(1000, 9999)}" if has_order else None,
        },
        "lines": lines,
        "net": net,
        "tax_rate": rate,
        "total": round(net * (1 + (rate or 0) / 100), 2),
    }


def _line(rng: random.Random, *, goods: str) -> dict[str, Any]:
    quantity = rng.choice((1, 1, 2, 3, 4, 6, 12, 1.5, 40))
    price = rng.randrange(180, 24000) / 100
    return {"description": goods, "quantity": quantity, "unit_price": price, "amount": round(quantity * price, 2)}


def _head(page: _Page) -> list[str]:
    """Return `label: value` lines of everything but the goods."""
    words, facts = _WORDS[page.language], page.facts
    lines = [f"{words['invoice']} {facts['invoice_number']}", f"{words['date']}: {page.day(facts['issue_date'])}"]
    if facts["due_date"]:
        lines.append(f"{words['due']}: {page.day(facts['due_date'])}")
    lines.append(f"{words['to']}: {facts['buyer']['name']}")
    if facts["buyer"]["purchase_order"]:
        lines.append(f"{words['po']}: {facts['buyer']['purchase_order']}")
    return lines


def _sums(page: _Page) -> list[str]:
    words, facts = _WORDS[page.language], page.facts
    lines = [f"{words['net']}: {page.money(facts['net'])}"]
    if facts["tax_rate"] is not None:
        tax = page.money(round(facts["total"] - facts["net"], 2))
        lines.append(f"{words['tax']} {page.number(facts['tax_rate'])} %: {tax}")
    return [*lines, f"{words['total']}: {page.money(facts['total'])} {facts['currency']}"]


def _seller(page: _Page) -> str:
    seller = page.facts["seller"]
    return (
        f"{seller['name']}, {_WORDS[page.language]['vat_id']} {seller['vat_id']}"
        if seller["vat_id"]
        else seller["name"]
    )


def _row(page: _Page, line: dict[str, Any]) -> list[str]:
    numbers = [page.number(line["quantity"]), page.money(line["unit_price"]), page.money(line["amount"])]
    return [line["description"], *numbers]


def _letterhead(page: _Page) -> str:
    rows = [f"  {q:>5}  {text:<28} {price:>10} {amount:>11}"
            for text, q, price, amount in (_row(page, line) for line in page.facts["lines"])]  # fmt: skip
    parts = [_seller(page)]
    return "\n".join([*parts, "", *_head(page), page.noise(), "", *rows, "", *_sums(page), "", page.noise()])


def _pipes(page: _Page) -> str:
    words = _WORDS[page.language]
    header = " | ".join(words[key] for key in ("item", "qty", "price", "amount"))
    rows = [" | ".join(_row(page, line)) for line in page.facts["lines"]]
    head = _head(page)
    page.rng.shuffle(head)
    return "\n".join([*head, _seller(page), page.noise(), "---", header, *rows, "---", *_sums(page)])


def _till(page: _Page) -> str:
    rows = []
    for text, quantity, price, amount in (_row(page, line) for line in page.facts["lines"]):
        rows += [text, f"   {quantity} x {price}".ljust(24) + amount.rjust(12)]
    body = [_seller(page), "*" * 36, *_head(page), "-" * 36, *rows, "-" * 36, *_sums(page), "*" * 36, page.noise()]
    return "\n".join(body)


def _pairs(page: _Page) -> str:
    words = _WORDS[page.language]
    lines = [f"{number}. {text}; {words['qty']} {quantity}; {words['price']} {price}; {words['amount']} {amount}"
             for number, (text, quantity, price, amount)
             in enumerate((_row(page, line) for line in page.facts["lines"]), start=1)]  # fmt: skip
    return "\n\n".join(
        ["\n".join([page.noise(), *_head(page)]), "\n".join(lines), "\n".join(_sums(page)), _seller(page)]
    )


_MAIL = {
    "en": ("Hello,\nplease find below what we agreed on the phone.", "Many thanks and kind regards"),
    "de": ("Guten Tag,\nwie besprochen stellen wir Ihnen in Rechnung:", "Mit freundlichen Grüßen"),
    "fr": ("Bonjour,\ncomme convenu, voici le détail de nos prestations.", "Bien cordialement"),
    "sv": ("Hej,\nenligt överenskommelse fakturerar vi följande.", "Med vänlig hälsning"),
}


def _mail(page: _Page) -> str:
    greeting, farewell = _MAIL[page.language]
    head = "; ".join(_head(page))
    rows = [f"- {quantity} × {text}, {price} = {amount}"
            for text, quantity, price, amount in (_row(page, line) for line in page.facts["lines"])]  # fmt: skip
    subject = f"Subject: {_WORDS[page.language]['invoice']} {page.facts['invoice_number']}"
    body = [subject, "", greeting, head, *rows, ". ".join(_sums(page)), page.noise(), "", farewell, _seller(page)]
    return "\n".join(body)
