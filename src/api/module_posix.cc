// What the compiler's start files bring into a shared library, as far as this one needs it. For
// them the loader looks up four symbols more in each process, three of which are nowhere, and calls
// code at the start and the end that has nothing to do here: the library is never unloaded.

extern "C" {

// By its value the C library knows to whom handlers of forks and of the end of the program belong:
// null is the program, whose handlers stay to the end, as those of a library that is never unloaded
// may.
extern void* const __dso_handle;
void* const __dso_handle = nullptr;

}  // extern "C"
