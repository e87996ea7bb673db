"""Everything a hostile world does to evalkit, on purpose: wrong bytes, broken gateways, kills, load, leaking keys.

`python -m torture PART` (with `tools` on the path) runs one part, bounded and seeded, and keeps what it measured;
`python -m torture page` writes docs/reference/reliability.md from that, section by section, and from nothing else.
"""
