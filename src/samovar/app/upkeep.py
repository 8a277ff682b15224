"""What is done to an installation before it serves."""

from samovar.adapters.alembic import migrate
from samovar.app.adapters import prepare_folder
from samovar.app.settings import Settings


async def migrated(settings: Settings) -> list[str]:
    """Bring the database up to date; the revisions that were applied. Raises ``MigrationFailed``, ``SchemaTooNew``,
    ``Unavailable``, ``SettingsInvalid``."""
    prepare_folder(settings)
    return await migrate(settings.database)
