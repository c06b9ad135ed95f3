#!/bin/sh
# Runs each fuzz target for SECONDS (60 by default), from its seeds on; what it learns goes into fuzz/corpus, a crash into
# fuzz/artifacts. cargo-fuzz comes from crates.io; without a sanitizer it works on a stable toolchain.
. "$(dirname -- "$0")/lib.sh"

say() { printf 'fuzz: %s\n' "$*" >&2; }
seconds=${1:-60}
fill() {
    cargo install --locked --root "$1" cargo-fuzz@0.13.2
}
into_cache "cargo-fuzz 0.13.2" cargo-fuzz-0.13.2 fill
PATH="$cache/cargo-fuzz-0.13.2/bin:$PATH"

cd "$here/../.."
for source in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$source" .rs)
    mkdir -p "fuzz/corpus/$target" .run/fuzz
    log=.run/fuzz/$target.log
    say "$target: building, then $seconds s"
    if ! cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        fail "$target" "it crashed or could not run; the input is under fuzz/artifacts, the log is $log"
    fi
    say "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs, no crash"
done
