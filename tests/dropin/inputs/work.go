// Go's threads in and out of C's malloc, with callbacks, profiling signals and children.
package main

/*
#include <stdlib.h>
#include <string.h>

typedef struct node { struct node *next; char text[40]; } node;

static node *make_list(int n) {
  node *list = NULL;
  for (int i = 0; i < n; i++) {
    node *one = calloc(1, sizeof(node));
    one->next = list;
    strcpy(one->text, "text of a node");
    list = one;
  }
  return list;
}
static size_t free_list(node *list) {
  size_t sum = 0;
  while (list) { node *next = list->next; sum += strlen(list->text); free(list); list = next; }
  return sum;
}
extern int called_back(int);
static int call(int n) { char *block = malloc(n + 1); int r = called_back(n); free(block); return r; }
*/
import "C"

import (
	"fmt"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"unsafe"
)

//export called_back
func called_back(n C.int) C.int {
	return n + C.int(len(strings.Repeat("x", int(n))))
}

type discard struct{}

func (discard) Write(data []byte) (int, error) { return len(data), nil }

func work(seed int) int {
	sum := 0
	for i := 0; i < 200; i++ {
		list := C.make_list(C.int(i + seed))
		text := C.CString(strings.Repeat("y", i*seed%3000))
		sum += int(C.strlen(text)) + int(C.call(C.int(i)))
		block := C.malloc(C.size_t(i * 1000))
		block = C.realloc(block, C.size_t(i*2000+1))
		C.memset(block, C.int(seed), C.size_t(i*2000))
		copied := C.GoBytes(unsafe.Pointer(block), C.int(i))
		sum += len(copied)
		C.free(block)
		C.free(unsafe.Pointer(text))
		sum += int(C.free_list(list))
	}
	return sum
}

func main() {
	// The profile's signals interrupt C code as well.
	pprof.StartCPUProfile(discard{})
	var group sync.WaitGroup
	sums := make([]int, 32)
	for i := range sums {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			if i%4 == 0 {
				runtime.LockOSThread() // the thread ends with its goroutine
			}
			sums[i] = work(i)
		}(i)
	}
	for i := 0; i < 10; i++ {
		output, err := exec.Command("/bin/echo", "child", fmt.Sprint(i)).Output()
		fmt.Print(string(output))
		if err != nil {
			fmt.Println(err)
		}
	}
	group.Wait()
	pprof.StopCPUProfile()
	fmt.Println(sums)
}
