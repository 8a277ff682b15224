"""What operations refuse, and why."""

from samovar.kernel.errors import Conflict, NotFound


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
