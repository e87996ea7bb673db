"""Sends a ticket to the team that can help."""

MODEL = "large"
TASK = "ticket-routing"
TEAMS = ("billing", "shipping", "technical")


def routing_prompt(ticket: str) -> str:
    """Return what the model is asked about a ticket."""
    return f"Which team should answer this ticket: {', '.join(TEAMS)}?\n\n{ticket}\n\nAnswer with the team alone."


def team_from_answer(text: str) -> str:
    """Return the team of an answer; what names none goes to a person."""
    word = text.strip().strip(".").casefold()
    return word if word in TEAMS else "person"
