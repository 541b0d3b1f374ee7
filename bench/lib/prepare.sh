# Sourced by the scripts of bench/, at the top of the repository.
source cmake/apt_install.sh

# prepare_bench <package>...: installs what is missing of the packages and the build tools, and
# builds a release with the bench programs into build/.
prepare_bench() {
  apt_install cmake ninja-build g++ python3 "$@"
  local log
  log=$(mktemp)
  echo "Building a release into build/"
  if ! { cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DSPANMALLOC_BENCH=ON &&
         cmake --build build --parallel "$(nproc)"; } >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}
