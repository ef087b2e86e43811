# shellcheck shell=bash disable=SC2034,SC2154  # most variables are set or read by the scripts that source this file
# What the system checks share. A check is a script of this folder that runs a built kedge as a user does. Its form:
#
#     #!/usr/bin/env bash
#     # What it shows. This comment is the text of --help.
#     # usage: Tests/System/NAME [OPTION ...]
#     set -euo pipefail
#     source "$(dirname "$0")/harness.bash"
#     kedge=$(built kedge) || exit
#     check "what must hold" COMMAND...
#     finish
#
# Environment: KEDGE_BINARY and MPI_CONFORMANCE_BINARY name programs to use instead of those of the release build.
# After sourcing, the working directory is the root of the repository and $work is a folder that is removed at the end.

script=${0##*/}
print_help() { sed -n '2,/^[^#]/ { /^#/ s/^# \{0,1\}//p; }' "Tests/System/$script"; }
# stop STATUS MESSAGE: ends the script before its checks.
stop() {
    echo "$script: $2" >&2
    exit "$1"
}
# A wrong option or argument.
usage_error() {
    echo "$script: $1" >&2
    print_help >&2
    exit 64
}
no_arguments() { [ $# = 0 ] || usage_error "unknown argument $1"; }

for variable in KEDGE_BINARY MPI_CONFORMANCE_BINARY; do
    [ -z "${!variable:-}" ] || export "$variable=$(realpath -m "${!variable}")"
done
caller_folder=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
case ${1:-} in -h | --help) print_help; exit 0 ;; esac

# argument_path PATH: the absolute form of a path of the command line, which is relative to the caller's folder.
argument_path() { (cd "$caller_folder" && realpath -m "$1"); }

# built PRODUCT: the path of a program of the release build.
built() {
    local variable=${1^^}_BINARY path
    variable=${variable//-/_}
    path=${!variable:-}
    [ -n "$path" ] || path=$(swift build -c release --show-bin-path)/$1
    [ -x "$path" ] || stop 66 "there is no program $path; run swift build -c release, or name one with $variable"
    realpath "$path"
}

# Open MPI on one machine. It refuses root unless both variables are set.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Ranks outnumber cores: a waiting rank gives its core away.
export OMPI_MCA_mpi_yield_when_idle=1
# Containers may forbid reading another process's memory; Open MPI 4 then prints an error for every message.
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# No warning about network hardware that Open MPI supports and the machine lacks.
export OMPI_MCA_btl_base_warn_component_unused=0
# A check that is started inside a job must not take that job for its own.
unset "${!SLURM_@}" "${!PBS_@}" "${!PMIX_@}" "${!PMI_@}" "${!OMPI_COMM_@}"
# For "${mpirun[@]}" -np RANKS COMMAND...; Open MPI 4 and 5 both know these options. --quiet drops the banner of MPI_Abort.
mpirun=(mpirun --quiet --bind-to none --map-by slot:OVERSUBSCRIBE)

work=$(mktemp -d)
mounted=()
clean_up() {
    local folder
    set +e
    jobs -p | xargs -r kill 2>/dev/null
    [ -z "${KEDGE_VIRTUAL_STATE:-}" ] || cluster/virtual/down >/dev/null 2>&1
    for folder in "${mounted[@]}"; do umount "$folder" 2>/dev/null; done
    rm -rf "$work"
}
trap clean_up EXIT
# mount_disk FOLDER SIZE: a file system of its own; fails where that is not permitted.
mount_disk() {
    mkdir -p "$1"
    mount -t tmpfs -o "size=$2" tmpfs "$1" 2>/dev/null && mounted+=("$1")
}

# Counting.
passed=0 failed=0 left_out=()
pass() { passed=$((passed + 1)); }
# fail MESSAGE [FILE...]: counts a failure and shows the end of the files.
fail() {
    local file
    failed=$((failed + 1))
    echo "FAILED: $1" >&2
    for file in "${@:2}"; do tail -n 12 "$file" >&2 || true; done
}
# check NAME COMMAND...: COMMAND must succeed. On failure the end of $log is shown, if that is set.
log=""
check() {
    if "${@:2}"; then pass; else fail "$1: ${*:2}" ${log:+"$log"}; fi
}
# quietly COMMAND...: with its output in $log.
quietly() { "$@" >"$log" 2>&1; }
# Conditions for check.
equal() { [ "$1" = "$2" ] || { echo "expected '$2', got '$1'" >&2; return 1; }; }
no() { ! "$@"; }

# Checks of one command: its status and what it prints.
call() { # COMMAND...: leaves $status, $work/out and $work/err
    status=0
    "$@" >"$work/out" 2>"$work/err" || status=$?
}
# succeeds COMMAND...: status 0, and nothing on standard error.
succeeds() {
    call "$@"
    if [ "$status" = 0 ] && [ ! -s "$work/err" ]; then
        pass
    else
        fail "$* : status $status (expected 0 and nothing on standard error):" "$work/out" "$work/err"
    fi
}
# refuses STATUS PATTERN COMMAND...: the status, and one line on standard error, which matches.
refuses() {
    local expected=$1 pattern=$2 lines
    shift 2
    call "$@"
    lines=$(grep -c . "$work/err" || true)
    if [ "$status" = "$expected" ] && [ "$lines" = 1 ] && grep -Eqe "$pattern" "$work/err"; then
        pass
    else
        fail "$* : status $status (expected $expected), $lines lines (expected one matching '$pattern'):" "$work/err"
    fi
}
# prints STATUS PATTERN COMMAND...: the status, one line on standard output that matches, and nothing on standard error.
prints() {
    local expected=$1 pattern=$2
    shift 2
    call "$@"
    if [ "$status" = "$expected" ] && [ "$(grep -Ec "$pattern" "$work/out")" = 1 ] && [ ! -s "$work/err" ]; then
        pass
    else
        fail "$* : status $status (expected $expected and one line matching '$pattern'):" "$work/out" "$work/err"
    fi
}
leave_out() { # WHAT REASON
    left_out+=("$1: $2")
}
# The last command of a script: the result, and the status.
finish() {
    local part
    for part in "${left_out[@]}"; do echo "$script: LEFT OUT: $part" >&2; done
    if [ "$failed" = 0 ]; then
        echo "$script: $passed checks passed in $SECONDS s"
    else
        echo "$script: $failed of $((passed + failed)) checks FAILED in $SECONDS s"
        return 1
    fi
}

# Data, and options of kedge adapt for runs of seconds; of two --set with the same key the later one counts.
make_data() { "$kedge" synthesize --output "$work/data" --count 10 --size 96 --seed 7 >/dev/null; }
tiny=(--set model.kind=tiny --set "data.root=$work/data" --set "run.folder=$work/runs")
training=(--set training.globalBatch=4 --set execution.threads=1 --set optimizer.warmUpSteps=2
    --set optimizer.learningRate=1e-3)
unscored=(--set evaluation.before=false --set 'evaluation.prompts=[]')
# adapt RUN RANKS [OPTION ...]: kedge adapt with the options in $settings.
adapt_command() { command=("${mpirun[@]}" -np "$2" "$kedge" adapt "${settings[@]}" --set "run.name=$1" "${@:3}"); }
adapt() { adapt_command "$@" && "${command[@]}"; }
# start RUN RANKS [OPTION ...]: the same in the background, with its output in $work/RUN.log and mpirun's process in $process.
start() {
    adapt_command "$@"
    "${command[@]}" >"$work/$1.log" 2>&1 &
    process=$!
}
# The SHA-256 of a run's adapter; nothing if there is none.
digest() { sha256sum "$work/runs/$1/adapter.safetensors" 2>/dev/null | cut -d' ' -f1; }
# Whether a run's adapter has a SHA-256, which must not be empty.
has_digest() { [ -n "$2" ] && equal "$(digest "$1")" "$2"; } # RUN DIGEST
# Whether a run continued from a checkpoint, by its output or log: the line names the checkpoint.
continued() { grep -qE ' from [^ ]+step-[0-9]+|"event":"resume"' "$1"; }
# A PNG whose header asks for 50,000 x 50,000 pixels.
huge_png() {
    base64 -d <<<iVBORw0KGgoAAAANSUhEUgAAw1AAAMNQCAIAAADEzaqdAAAAC0lEQVR4nGNggAEAAAoAAX+AdF4AAAAASUVORK5CYII=
}

# Processes.
# wait_for PROCESS COMMAND...: until COMMAND succeeds; fails when PROCESS has ended or after $patience seconds.
patience=120
wait_for() {
    local process=$1 began=$SECONDS
    shift
    until "$@"; do
        { kill -0 "$process" && [ $((SECONDS - began)) -lt "$patience" ]; } 2>/dev/null || return 1
        sleep 0.01
    done
}
reached_step() { [ -e "$work/runs/$1/checkpoints/$(printf 'step-%06d' "$2")" ]; } # RUN STEP
# kill_run PROCESS: kill -9 of mpirun and its ranks, ranks first: without mpirun they would end by themselves.
kill_run() {
    pkill -KILL -P "$1" || true
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}
# The number of an mpirun's job, in hexadecimal: Open MPI names its files in /dev/shm by it. Nothing while there is no rank.
job_of() {
    local rank number
    rank=$(pgrep -P "$1" | head -n 1)
    number=$(tr '\0' '\n' 2>/dev/null <"/proc/${rank:-none}/environ" | sed -n 's/^OMPI_MCA_ess_base_jobid=//p')
    [ -z "$number" ] || printf %x "$number"
}
files_of_job() { find /dev/shm -name "*.$1.*" | wc -l; }

# why_no_nodes: why virtual nodes (cluster/virtual) cannot be made here; nothing if they can. They are removed at the end.
why_no_nodes() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "not root"
    elif ! unshare --net --uts --mount bash -ec 'ip link add lan type bridge; ip link add port0 type veth
        mount -t tmpfs tmpfs /dev/shm' 2>"$work/refused"; then
        echo "namespaces, bridges or veth pairs are not permitted: $(head -n 1 "$work/refused")"
    fi
}
