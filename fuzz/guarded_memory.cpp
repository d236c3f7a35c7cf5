#include "fuzz/guarded_memory.h"

#include <fmt/format.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "ir/support/check.h"

namespace smelt::fuzz {
namespace {

constexpr std::byte kPoison{0xFF};
constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
constexpr unsigned kSecondsAllowed = 20;  // for code that takes microseconds

size_t pages_for(size_t bytes) {
  return std::max<size_t>(1, (bytes + GuardedMemory::page() - 1) / GuardedMemory::page());
}

thread_local sigjmp_buf* return_point = nullptr;
thread_local int signal_seen = 0;
thread_local const void* address_seen = nullptr;

void on_signal(int number, siginfo_t* info, void*) {
  if (return_point == nullptr) {  // not in generated code: die as without a handler
    signal(number, SIG_DFL);
    raise(number);
    return;
  }
  signal_seen = number;
  address_seen = info->si_addr;
  siglongjmp(*return_point, 1);
}

/// Our handlers while it lives, the ones before afterwards.
class SignalHandlers {
 public:
  SignalHandlers() {
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before_[i]);
  }
  ~SignalHandlers() {
    for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  }
  SignalHandlers(const SignalHandlers&) = delete;
  SignalHandlers& operator=(const SignalHandlers&) = delete;

 private:
  std::array<struct sigaction, kSignals.size()> before_;
};

}  // namespace

size_t GuardedMemory::page() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

size_t GuardedMemory::footprint(size_t bytes) { return (pages_for(bytes) + 1) * page(); }

GuardedMemory::GuardedMemory(size_t bytes) : bytes_(bytes + 2 * page()), used_(page()) {
  void* memory = mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  SMELT_CHECK(memory != MAP_FAILED, "cannot reserve {} bytes", bytes_);
  base_ = static_cast<std::byte*>(memory);
}

GuardedMemory::~GuardedMemory() { munmap(base_, bytes_); }

std::byte* GuardedMemory::allocate(size_t bytes, size_t alignment, Placement placement) {
  const size_t num_pages = pages_for(bytes), size = num_pages * page();
  SMELT_CHECK(used_ + size + page() <= bytes_, "guarded memory of {} bytes is full", bytes_);
  std::byte* pages = base_ + used_;
  used_ += size + page();
  SMELT_CHECK(mprotect(pages, size, PROT_READ | PROT_WRITE) == 0, "cannot open {} bytes", size);
  std::memset(pages, static_cast<int>(kPoison), size);
  std::byte* buffer = placement == Placement::StartAtGuard ? pages : pages + (size - bytes) / alignment * alignment;
  blocks_.push_back({pages, buffer, num_pages, bytes});
  return buffer;
}

void GuardedMemory::make_read_only(const std::byte* buffer) {
  const auto block = std::ranges::find(blocks_, buffer, &Block::buffer);
  SMELT_CHECK(block != blocks_.end() && mprotect(block->pages, block->num_pages * page(), PROT_READ) == 0,
              "cannot close a buffer");
}

std::optional<size_t> GuardedMemory::overwritten() const {
  const auto is_poison = [](std::byte value) { return value == kPoison; };
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    const std::byte *begin = block.pages, *end = begin + block.num_pages * page(), *buffer = block.buffer;
    if (!std::all_of(begin, buffer, is_poison) || !std::all_of(buffer + block.bytes, end, is_poison)) return i;
  }
  return std::nullopt;
}

std::optional<std::string> run_guarded(const std::function<void()>& body) {
  const SignalHandlers handlers;
  sigjmp_buf here;
  return_point = &here;
  // With the signals that are let through: the thread sanitizer holds all of them back while a handler runs, and a jump
  // out of it would keep that.
  if (sigsetjmp(here, 1) == 0) {
    alarm(kSecondsAllowed);
    body();
    alarm(0);
    return_point = nullptr;
    return std::nullopt;
  }
  alarm(0);
  return_point = nullptr;
  if (signal_seen == SIGALRM) return fmt::format("no end after {} seconds", kSecondsAllowed);
  return fmt::format("signal {} ({}) at address {}", signal_seen, sigdescr_np(signal_seen), fmt::ptr(address_seen));
}

}  // namespace smelt::fuzz
