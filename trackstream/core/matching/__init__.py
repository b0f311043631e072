"""How a conversion finds its touches: asked, answered, gathered, decided, told.

`ask`: what an event sends to the identity log. `owner`: what the owner of one identifier keeps and
answers. `gather`: what one conversion collects, and when it is decided; `told`: what then goes out.
`decide`: the decision, a pure function of everything that is known. Any order of arrival ends in
the same decision, and the same credits:
`tests/core/matching/test_protocol.py` runs this code in random orders against a reference that
sees everything at once.
"""
