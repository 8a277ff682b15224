"""The prompt registry: prompts kept apart from code.

A prompt is a (namespace, name, lang); each of its versions is a row with an id of its own, a whole number that is never
given out twice. A change of text keeps id and version and puts the former text into the row's history. Labels point to
versions of their own prompt. One active version is the default of each (namespace, lang), or none is. Neither can dangle:
the database's constraints see to it, and the writers of one team take turns.
"""
