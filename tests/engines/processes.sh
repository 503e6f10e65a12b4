# Shared by the scripts of tests/engines; sourced, never run.
#
# A process started here is remembered by a file that holds its pid and its start
# time (clock ticks since boot), so that a pid which the kernel has given to somebody
# else is never taken for ours. Nothing is ever signalled by name.
# shellcheck shell=bash

set -u

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STATE=${HOLDFAST_ENGINES:-$TREE/build-engines}
VENV=$TREE/build-venv
ENGINE=${ENGINE:-engine}
mkdir -p "$STATE" || exit 1
STATE=$(cd "$STATE" && pwd)

say() { printf '%s: %s\n' "$ENGINE" "$*"; }
die() {
	printf '%s: error: %s\n' "$ENGINE" "$*" >&2
	exit 1
}

# --- processes -------------------------------------------------------------

# Start time of a pid: field 22 of its stat line, counted after the ")" that
# ends the command name (which may itself hold spaces). A zombie counts as gone,
# once its last thread has ended: until then its ports are still bound.
_start_time() {
	[ -r "/proc/$1/stat" ] || return 1
	_of=$1
	_rest=$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null) || return 1
	# shellcheck disable=SC2086
	set -- $_rest
	case ${1:-X} in
		X) return 1 ;;
		Z) [ "$(find "/proc/$_of/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -gt 1 ] || return 1 ;;
	esac
	echo "${20}"
}

# remember FILE PID
remember() { echo "$2 $(_start_time "$2")" >"$1"; }

# pid_of FILE: prints the pid if that very process still lives
pid_of() {
	[ -s "$1" ] || return 1
	read -r _pid _born <"$1" || return 1
	[ -n "${_born:-}" ] && [ "$(_start_time "$_pid")" = "$_born" ] && echo "$_pid"
}

# spawn PIDFILE LOGFILE COMMAND...: a process of its own session, its output in
# a new LOGFILE, with no input and none of the caller's descriptors, so that
# pipes and locks of the caller are not held open by it
spawn() {
	_pf=$1 _lf=$2
	shift 2
	(
		for _fd in /proc/self/fd/*; do
			_fd=${_fd##*/}
			[ "$_fd" -gt 2 ] 2>/dev/null && eval "exec $_fd>&-" 2>/dev/null
		done
		# setsid execs in place: a background child leads no process group
		setsid "$@" </dev/null >"$_lf" 2>&1 &
		remember "$_pf" $!
	)
}

# end PIDFILE [SECONDS [quietly]]: TERM (to a paused process too), then KILL
# when it has not gone after SECONDS
end() {
	_p=$(pid_of "$1") || { rm -f "$1"; return 0; }
	kill -TERM "$_p" 2>/dev/null
	kill -CONT "$_p" 2>/dev/null
	_n=$((${2:-30} * 10))
	while pid_of "$1" >/dev/null; do
		_n=$((_n - 1))
		if [ "$_n" -le 0 ]; then
			[ -n "${3:-}" ] || say "pid $_p did not end by itself: killed"
			kill -KILL "$_p" 2>/dev/null
			sleep 0.2
			break
		fi
		sleep 0.1
	done
	rm -f "$1"
}

# signal PIDFILE SIGNAL
signal() {
	_p=$(pid_of "$1") || die "not running"
	kill "-$2" "$_p"
}

# pause PIDFILE: SIGSTOP, and back only when every thread has stopped: on a busy machine some run on
# for a while, and answer
pause() {
	signal "$1" STOP
	while grep -hs '^State:' "/proc/$_p/task/"*/status | grep -qv '[tT] ('; do
		pid_of "$1" >/dev/null || die "it ended while it was paused"
		sleep 0.01
	done
}

# crash PIDFILE: SIGKILL, and back only when the process is gone
crash() {
	signal "$1" KILL
	while pid_of "$1" >/dev/null; do sleep 0.05; done
	rm -f "$1"
}

rss_mib() { awk '/^VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$1/status" 2>/dev/null; }

# describe PIDFILE: "up pid 12 rss 340 MiB" | "paused pid 12 …" | "down"
describe() {
	if _p=$(pid_of "$1"); then
		_st=up
		grep -q '^State:.T' "/proc/$_p/status" 2>/dev/null && _st=paused
		echo "$_st pid $_p rss $(rss_mib "$_p") MiB"
	else
		echo down
	fi
}

# --- waiting ---------------------------------------------------------------

port_open() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# wait_for SECONDS PIDFILE COMMAND...: 0 when COMMAND succeeds, 1 when time is
# up, 2 when the process of PIDFILE has ended ('' for none)
wait_for() {
	_until=$((SECONDS + $1)) _wpf=$2
	shift 2
	until "$@"; do
		[ "$SECONDS" -lt "$_until" ] || return 1
		if [ -n "$_wpf" ] && ! pid_of "$_wpf" >/dev/null; then return 2; fi
		sleep 0.2
	done
}

# failed LOG TEXT: end with the last lines of a log
failed() {
	printf '%s\n' "--- last lines of $1" >&2
	tail -n 25 "$1" >&2
	die "$2"
}

# free_port ADDRESS PORT: die when someone else listens there
free_port() {
	# A little patience: a port outlives its process for a moment
	if port_open "$1" "$2" && sleep 1 && port_open "$1" "$2"; then
		die "$1:$2 is already in use by a process that this script did not start"
	fi
}

# --- installing ------------------------------------------------------------

# once NAME COMMAND...: run COMMAND one at a time across processes
once() {
	mkdir -p "$STATE/locks"
	(
		_name=$1
		shift
		flock 9
		"$@"
	) 9>"$STATE/locks/$1"
}

# need COMMAND PACKAGE: what tools/install-packages brings
need() {
	command -v "$1" >/dev/null 2>&1 || die "$1 is missing (package $2): tools/install-packages test"
}

# java17: sets JAVA to a Java 17 runtime
# shellcheck disable=SC2034
java17() {
	local home
	for home in "${JAVA_HOME:-}" /usr/lib/jvm/*17*; do
		[ -x "$home/bin/java" ] || continue
		"$home/bin/java" -version 2>&1 | grep -q 'version "17\.' || continue
		JAVA=$home/bin/java
		export JAVA_HOME=$home
		return
	done
	die "no Java 17 (package openjdk-17-jre-headless): tools/install-packages test"
}

# python_with MODULE: sets PYTHON to the tests' own, which has it
python_with() {
	PYTHON=$VENV/bin/python
	"$PYTHON" -c "import $1" 2>/dev/null ||
		die "no python module $1 in build-venv: tools/install-python"
}
