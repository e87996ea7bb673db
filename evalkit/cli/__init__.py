"""click commands, one module each, loaded late: parse, one api call, render, exit code."""
