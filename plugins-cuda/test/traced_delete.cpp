// operator delete that remembers what it freed. Being the program's, it is also the one of the
// libraries that the program loads.
#include <cstddef>
#include <cstdlib>

void* last_freed = nullptr;

void operator delete(void* memory) noexcept {
  last_freed = memory;
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
