"""Write a script that submits a benchmark to Slurm for several numbers of nodes, one job after the other."""

import shlex
from collections.abc import Sequence

_SCRIPT = """\
#!/bin/bash
# Submits a benchmark of reading on {listed} nodes. A job starts when the one before it has ended, so that no two jobs share the
# network. Arguments are passed on to sbatch:
#   bash THIS-SCRIPT --partition=NAME --account=NAME --time=01:00:00
set -euo pipefail

after=()
for nodes in {nodes}; do
  job=$(sbatch --parsable --job-name="episeek-bench-$nodes" --nodes="$nodes" --ntasks-per-node={ranks} \\
    --cpus-per-task={cpus} --exclusive --output="episeek-bench-$nodes-nodes-%j.txt" \\
    ${{after[@]+"${{after[@]}}"}} "$@" <<'END_OF_JOB'
#!/bin/bash
set -euo pipefail
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
WORLD_SIZE=$SLURM_NTASKS
export MASTER_ADDR MASTER_PORT WORLD_SIZE
# srun does not take the number of CPUs from sbatch
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 \\
  bash -c 'RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID exec "$@"' bash \\
  {command}
END_OF_JOB
  )
  # sbatch may append the name of the cluster to the number of the job
  job=${{job%%;*}}
  echo "$nodes nodes: job $job"
  after=(--dependency="afterany:$job")
done
"""


def slurm_script(
    command: Sequence[str], *, workers: int, nodes: Sequence[int] = (1, 2, 4), ranks_per_node: int = 1
) -> str:
    """Return a bash script that submits a command as a chain of jobs. Run it on a machine that has `sbatch`.

    The ranks find each other through the first node of the job.

    Args:
        command: The words of the command that each rank runs. Its working directory is that of the script.
        workers: Number of worker processes of each rank. A rank gets one CPU for each of them, and one for itself.
        nodes: The number of nodes of each job, in order.
        ranks_per_node: Number of ranks on each node.
    """
    if not nodes or min(*nodes, ranks_per_node) < 1:
        raise ValueError(f"found nodes {list(nodes)}, ranks per node {ranks_per_node}; expected numbers of 1 or more")
    names = list(map(str, nodes))
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return _SCRIPT.format(
        listed=listed, nodes=" ".join(names), ranks=ranks_per_node, cpus=workers + 1, command=shlex.join(command)
    )
