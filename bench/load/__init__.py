"""The load generator: raw HTTP/1.1 over asyncio protocols, every answer checked.

It sends bytes made beforehand and parses no more than it must (status, framing, the marks that an answer has to show), so that
on one core it asks several times faster than Samovar answers. A driver decides when to send: `ClosedLoop` at once after each
answer, `OpenLoop` at times fixed beforehand. An answer that lacks a mark is an error with a name, never a sample.
"""
