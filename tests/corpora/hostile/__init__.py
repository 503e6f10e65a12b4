"""Mail that breaks rules, made by a program: README.md says of each what it is. `MESSAGES` has them all by name."""

from corpora.hostile import bodies, headers, structure

MESSAGES = {**headers.MESSAGES, **structure.MESSAGES, **bodies.MESSAGES}
