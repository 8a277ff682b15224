"""What can be wrong with a call for vision."""

from samovar.kernel.errors import Flaw, Invalid, Unavailable


class BadAsk(Invalid):
    """A field that breaks a rule; ``where`` names it."""

    code = "invalid_request"

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}", flaws=(Flaw(where, what),))


class NoImage(Invalid):
    """A call for vision without a picture."""

    code = "image_missing"
    title = "There is no image"


class TooManyImages(Invalid):
    """More pictures than a call may have."""

    code = "too_many_images"
    title = "Too many images"


class StoredImageLate(Unavailable):
    """The content of a stored file did not come in its time, or had to wait too long for its turn."""

    code = "content_unavailable"
    title = "The content cannot be read now"


class NoPrompt(Invalid):
    """No prompt was named, and there is no default one."""

    code = "prompt_missing"
    title = "There is no prompt"


class NoVisionModel(Invalid):
    """No model was named and none can be chosen, or the named one takes no pictures."""

    code = "no_vision_model"
    title = "There is no model for this image"


class BadPattern(Invalid):
    """A pattern or its flags that cannot be used."""

    code = "bad_pattern"
    title = "The pattern cannot be used"
