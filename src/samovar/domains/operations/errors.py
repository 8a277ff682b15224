"""What operations refuse, and why."""

from samovar.kernel.errors import Conflict, Invalid, NotFound, SamovarError


class BackupNotFound(NotFound):
    """No backup has that name."""

    code = "backup_not_found"
    title = "No such backup"


class BackupDamaged(SamovarError):
    """It is no backup of ours, or was cut short or changed."""

    code = "backup_damaged"
    status = 422
    title = "The backup is damaged"


class BackupSealed(Invalid):
    """It is encrypted, and nobody gave the key."""

    code = "backup_encrypted"
    title = "The backup is encrypted"


class BackupTooNew(Conflict):
    """A newer version made it."""

    code = "backup_too_new"
    title = "The backup belongs to a newer version"


class NotEmpty(Conflict):
    """A restore would write over what is there."""

    code = "database_not_empty"
    title = "The database is not empty"


class OtherMasterKey(Conflict):
    """The secrets in the backup are sealed under another key."""

    code = "other_master_key"
    title = "Another master key"


class RowRefused(Conflict):
    """The database does not take a row of the backup."""

    code = "row_refused"
    title = "A row cannot be restored"


class SchemaUnlike(Conflict):
    """The database does not have the tables that this version knows."""

    code = "schema_unlike"
    title = "The database's tables are not those of this version"


class JobNotFound(NotFound):
    """No such job, or one of another team."""

    code = "job_not_found"
    title = "No such job"


class CronNotFound(NotFound):
    """No such cron job, or not the caller's to run."""

    code = "cron_not_found"
    title = "No such cron job"


class JobStateForbids(Conflict):
    """What was asked does not go with the state that the job is in."""

    code = "job_state"
    title = "The job's state does not allow this"
