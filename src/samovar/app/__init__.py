"""Composition: the only room that imports all the others. Settings in, a running application out."""
