#!/usr/bin/env bash
# Adapts a model on nodes that are reached by ssh, without a scheduler.
set -uo pipefail

usage() {
    cat <<'TEXT'
usage: cluster/ssh.sh HOSTFILE RANKS THREADS [OPTION OF kedge adapt ...]
  HOSTFILE  lines "NAME slots=N", as in hostfiles/
  RANKS     ranks on each node
  THREADS   cores of each rank
environment:
  KEDGE     the program, at the same path on all nodes (default .build/release/kedge)
  OPENBLAS_CORETYPE  where it is set, the core whose kernels OpenBLAS runs on all nodes
example:
  cluster/ssh.sh hostfiles/two-nodes 2 8 --recipe recipes/demo.yaml --set data.root=/data/cells

Ctrl-C asks the run to stop after its step (status 75); a second Ctrl-C ends it at once.
TEXT
}
case ${1:-} in -h | --help) usage; exit 0 ;; esac
if [ $# -lt 3 ] || [[ ! $2 =~ ^[1-9][0-9]*$ || ! $3 =~ ^[1-9][0-9]*$ ]]; then
    usage >&2
    exit 64
fi
hostfile=$1 ranks=$2 threads=$3
shift 3
[ -r "$hostfile" ] || { echo "ssh.sh: cannot read $hostfile" >&2; exit 66; }
kedge=$(realpath "${KEDGE:-.build/release/kedge}")

# Asked before the start, because mpirun's own message for a node it cannot reach is long and names none.
while read -r host _; do
    case $host in '' | '#'* | localhost) continue ;; esac
    ssh -n -o BatchMode=yes -o ConnectTimeout=10 "$host" "test -x '$kedge' && command -v orted >/dev/null" || {
        echo "ssh.sh: $host: no ssh without a password, no $kedge, or no Open MPI (orted) on its PATH" >&2
        exit 69
    }
done <"$hostfile"

# A choice of OpenBLAS's kernels is for all nodes; without -x the ranks of another node would not see it.
# mpirun answers Ctrl-C by ending its ranks at once. In a process group of its own (set -m) it does not see it; instead
# it gets SIGUSR1, which it passes on to all ranks: kedge finishes its step, saves a checkpoint and ends with status 75.
set -m
mpirun="" signalled=no next=USR1
trap 'signalled=yes; kill "-$next" "$mpirun"; echo "ssh.sh: sent SIG$next" >&2; next=TERM' INT TERM HUP USR1
mpirun ${OPENBLAS_CORETYPE+-x OPENBLAS_CORETYPE} --hostfile "$hostfile" \
    --map-by "ppr:$ranks:node:PE=$threads" --bind-to core \
    "$kedge" adapt --set "execution.threads=$threads" "$@" </dev/null &
mpirun=$!

# A signal ends `wait` early, with a status of its own; then it has to wait again.
while
    signalled=no
    wait "$mpirun"
    status=$?
    [ "$signalled" = yes ]
do :; done
exit "$status"
