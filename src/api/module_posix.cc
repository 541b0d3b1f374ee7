// What the compiler's start files bring into a shared library, as far as this one needs it. For
// them the loader looks up four symbols more in each process, three of which are nowhere, and calls
// code at the start and the end that has nothing to do here: the library is never unloaded.

extern "C" {

// By its address the C library knows to whom handlers of forks and of the end of the program
// belong.
extern void* const __dso_handle;
void* const __dso_handle = nullptr;

}  // extern "C"
