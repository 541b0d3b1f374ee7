// Takes a piece of the static thread-local storage.
static thread_local volatile int piece[16] __attribute__((tls_model("initial-exec"))) = {1};
extern "C" int touch(int n) {
  piece[n % 16] = n;
  return piece[n % 16];
}
