"""Pictures and a prompt in, words out: the surface of ``/v1/vision``, whole or as a stream.

* A call goes through the gateway like any other: its key, money, limits, guard rails, routing, fallbacks and usage event.
* What a caller sends as a picture is hostile until it was prepared; what goes to a vendor is what was prepared, or an
  address that the vendor itself fetches.
* ``cleanup`` gives the same text whether the answer comes whole or in pieces, however they are cut.
"""
