"""What Snakemake's Slurm plugin has to be told until it knows itself."""

import snakemake_executor_plugin_slurm as plugin


def notice_preempted_jobs() -> None:
    """Have jobs that Slurm has cancelled for others count as cancelled, so that they are retried.

    Version 2.8.0 of the plugin takes PREEMPTED for a state that passes, and waits for ever. A job
    that Slurm itself starts again is never seen in it: from RUNNING it goes to PENDING.
    """
    ask = plugin.query_job_status

    async def query(*arguments) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await ask(*arguments)
        if states:
            states = {job: "CANCELLED" if s == "PREEMPTED" else s for job, s in states.items()}
        return states, seconds

    plugin.query_job_status = query
