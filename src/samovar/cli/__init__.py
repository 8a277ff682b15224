"""Arguments to Settings to the app. Nothing here knows how anything works."""


def main() -> None:
    """The ``samovar`` command."""
    from samovar.cli.root import run

    run()
