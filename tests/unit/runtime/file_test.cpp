// Reading regular files and gzip, and writing atomically.
#include "runtime/files/file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <csignal>
#include <filesystem>
#include <random>

#include <fmt/format.h>

#include "runtime/files/message.h"
#include "runtime/files/output_file.h"
#include "runtime/files/sha256.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

std::string gzip(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string text_of(const Buffer& buffer) { return {reinterpret_cast<const char*>(buffer.data()), buffer.size()}; }

}  // namespace

TEST_CASE("a plain file and a gzip file read the same") {
  TempDirectory dir;
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i * 37) + "\n";
  write_raw(dir / "plain", text);
  write_raw(dir / "packed", gzip(text));
  write_raw(dir / "members", gzip(text.substr(0, 1000)) + gzip(text.substr(1000)));
  write_raw(dir / "padded", gzip(text) + std::string(512, '\0'));
  write_raw(dir / "empty", "");
  for (const char* name : {"plain", "packed", "members", "padded"}) {
    const auto file = read_file(dir / name);
    REQUIRE_MESSAGE(file.has_value(), message_of(file));
    CHECK(text_of(*file) == text);
    CHECK(text_of(*read_file_start(dir / name, 100)) == text.substr(0, 100));
  }
  CHECK(read_file(dir / "empty")->empty());
}

TEST_CASE("what is no regular file is refused without waiting") {
  TempDirectory dir;
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  CHECK(contains(message_of(read_file(dir / "none")), "none`: No such file or directory"));
  CHECK(contains(message_of(read_file(dir.path())), "it is a directory"));
  CHECK(contains(message_of(read_file(dir / "fifo")), "it is a named pipe"));
  CHECK(contains(message_of(read_file("/dev/zero")), "it is a device"));
  CHECK(contains(message_of(read_file(std::string("a\0b", 3))), "cannot read `a\\x00b`"));
  CHECK(read_file(dir / "none").error().kind == ErrorKind::Input);
}

TEST_CASE("damaged gzip data is refused") {
  TempDirectory dir;
  const std::string good = gzip(std::string(1000, 'a') + "tail");
  write_raw(dir / "cut", good.substr(0, good.size() - 9));
  write_raw(dir / "junk", good + "junk");
  std::string crc = good;
  crc[crc.size() - 6] ^= 1;
  write_raw(dir / "crc", crc);
  CHECK(contains(message_of(read_file(dir / "cut")), "ends too early"));
  CHECK(contains(message_of(read_file(dir / "junk")), "bytes that are not gzip follow"));
  CHECK(contains(message_of(read_file(dir / "crc")), "incorrect data check"));
  for_each_mutant(good, 1000, 1, [&](const std::string& mutant) {
    write_raw(dir / "mutant", mutant);
    static_cast<void>(read_file(dir / "mutant"));
  });
}

TEST_CASE("a gzip bomb is refused before it fills memory") {
  TempDirectory dir;
  write_raw(dir / "bomb.gz", gzip(std::string(64 << 20, '\0')));
  const auto bomb = read_file(dir / "bomb.gz");
  CHECK(bomb.error().kind == ErrorKind::Limit);
  CHECK(contains(message_of(bomb), "200:1"));
  CHECK(read_file(dir / "bomb.gz", {.ratio = 2000}).has_value());
  CHECK(contains(message_of(read_file(dir / "bomb.gz", {.unpacked = 1 << 20})), "1.0 MiB"));
  CHECK(contains(message_of(read_file(dir / "bomb.gz", {.file = 100})), "the limit is 100 bytes"));
}

TEST_CASE("a part of a file that is very dense refuses it before the rest is read") {
  TempDirectory dir;
  std::string noise(1 << 20, '\0');
  std::mt19937 random(1);
  for (char& c : noise) c = static_cast<char>(random());
  write_raw(dir / "late.gz", gzip(std::string(40 << 20, '\0') + noise));  // 40:1 as a whole
  CHECK(contains(message_of(read_file(dir / "late.gz")), "200:1"));
  write_raw(dir / "fine.gz", gzip(std::string(31 << 20, '\0') + noise));
  CHECK(read_file(dir / "fine.gz").has_value());
}

TEST_CASE("a file is found with and without .gz") {
  TempDirectory dir;
  write_raw(dir / "a.gz", "x");
  write_raw(dir / "b", "x");
  CHECK(find_file(dir / "a") == dir / "a.gz");
  CHECK(find_file(dir / "a.gz") == dir / "a.gz");
  CHECK(find_file(dir / "b.gz") == dir / "b");
  CHECK_FALSE(find_file(dir / "c"));
}

TEST_CASE("a temporary file is never opened through what is there already") {
  TempDirectory dir;
  write_raw(dir / "victim", "precious");
  // The names that the next writes will take.
  for (int k = 0; k < 2048; ++k)
    std::filesystem::create_symlink("victim", fmt::format("{}/f.tmp.{}.{}", dir.path(), ::getpid(), k));
  for (int k = 0; k < 8; ++k) REQUIRE(write_file_atomic(dir / "f", "new").has_value());
  CHECK(read_raw(dir / "victim") == "precious");
  CHECK(read_raw(dir / "f") == "new");
}

TEST_CASE("a result is written in place of a file, behind a link, into a stream; never over what it is not") {
  TempDirectory dir;
  REQUIRE(write_output(dir / "f", "one").has_value());
  std::filesystem::create_symlink("f", dir / "link");
  std::filesystem::create_symlink("g", dir / "dangling");
  REQUIRE(write_output(dir / "link", "two").has_value());
  REQUIRE(write_output(dir / "dangling", "three").has_value());
  CHECK(read_raw(dir / "f") == "two");
  CHECK(read_raw(dir / "g") == "three");
  CHECK(std::filesystem::is_symlink(dir / "link"));
  CHECK(std::filesystem::is_symlink(dir / "dangling"));
  CHECK(contains(message_of(write_output(dir.path(), "x")), "it is a directory"));
  CHECK(write_output("/dev/null", "x").has_value());
  CHECK(contains(message_of(write_output("/dev/full", "x")), "No space left"));
  CHECK(is_stream("-"));
  CHECK(is_stream("/dev/null"));
  for (const std::string& name : {dir / "f", dir / "none", dir.path()}) CHECK_FALSE(is_stream(name));
}

TEST_CASE("an atomic write replaces the file, and leaves nothing else") {
  TempDirectory dir;
  REQUIRE(write_file_atomic(dir / "f", "one").has_value());
  REQUIRE(write_file_atomic(dir / "f", "two").has_value());
  CHECK(read_raw(dir / "f") == "two");
  for (const mode_t mode : {0640, 0755, 0600}) {
    REQUIRE(::chmod((dir / "f").c_str(), mode) == 0);
    REQUIRE(write_file_atomic(dir / "f", "three").has_value());
    struct stat status{};
    REQUIRE(::stat((dir / "f").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == mode);  // who may read it stays
  }
  CHECK(list_files(dir.path()) == std::vector<std::string>{"f"});
}

TEST_CASE("a failed write keeps the old file and removes the temporary one") {
  TempDirectory dir;
  REQUIRE(write_file_atomic(dir / "f", "old").has_value());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &small);
  const auto written = write_file_atomic(dir / "f", std::string(5000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(written.error().kind == ErrorKind::Output);
  CHECK(contains(message_of(written), "write: File too large"));
  CHECK(read_raw(dir / "f") == "old");
  CHECK(list_files(dir.path()) == std::vector<std::string>{"f"});
}

TEST_CASE("writing where it cannot be done says why") {
  TempDirectory dir;
  CHECK(contains(message_of(write_file_atomic(dir / "gone/f", "x")), "create: No such file or directory"));
  CHECK(contains(message_of(write_file_atomic(dir.path(), "x")), "rename: Is a directory"));
  CHECK(contains(message_of(write_file_atomic("/proc/smelt", "x")), "/proc/smelt"));
  CHECK(contains(message_of(make_directories("/proc/smelt/x")), "cannot create directory"));
  write_raw(dir / "f.tmp.77.1", "left");
  remove_leftovers(dir.path());
  CHECK(list_files(dir.path()).empty());
}

TEST_CASE("text for messages is short and harmless to a terminal") {
  CHECK(printable("plain \xC3\xA4") == "plain \xC3\xA4");
  CHECK(printable("\x1b[31m\n\xff") == "\\x1b[31m\\x0a\\xff");
  CHECK(printable("\xC2\x9B") == "\\xc2\\x9b");
  // An overlong form, a surrogate, and what is behind U+10FFFF are no UTF-8.
  CHECK(printable("\xE0\x80\xAF") == "\\xe0\\x80\\xaf");
  CHECK(printable("\xED\xA0\x80") == "\\xed\\xa0\\x80");
  CHECK(printable("\xF4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");
  CHECK(printable(std::string(500, 'a')).size() == 123);
  CHECK(shell_word("runs/a-1.b") == "runs/a-1.b");
  CHECK(shell_word("") == "''");
  CHECK(shell_word("my runs/it's") == "'my runs/it'\\''s'");
  CHECK(shell_word("a\n'\\b") == "$'a\\x0a\\'\\\\b'");
  CHECK(human_bytes(512) == "512 bytes");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(UINT64_MAX) == "16.0 EiB");
}

TEST_CASE("a buffer is aligned, zero, and keeps its content when it grows") {
  for (const uint64_t size : {1, 63, 4096, 3 << 20}) {
    auto buffer = Buffer::allocate(size);
    REQUIRE(buffer.has_value());
    CHECK(reinterpret_cast<uintptr_t>(buffer->data()) % Buffer::kAlignment == 0);
    CHECK(buffer->data()[size - 1] == std::byte{0});
    buffer->data()[0] = std::byte{7};
    REQUIRE(buffer->resize(2 * size + 1).has_value());
    CHECK(buffer->data()[0] == std::byte{7});
    CHECK(buffer->data()[2 * size] == std::byte{0});
  }
  auto filed = Buffer::in_file(10'000, std::filesystem::temp_directory_path().string(), "pages");
  REQUIRE(filed);
  CHECK(filed->data()[9'999] == std::byte{0});
  filed->data()[9'999] = std::byte{7};
  filed->ask_for(5'000, 10'000);
  Buffer moved = std::move(*filed);
  CHECK(moved.data()[9'999] == std::byte{7});
  CHECK(Buffer::in_file(1, "/no such place").error().kind == ErrorKind::Output);
  CHECK(Buffer::allocate(UINT64_MAX).error().kind == ErrorKind::Limit);
  CHECK(contains(message_of(Buffer::allocate(uint64_t{1} << 60, "h")), "need 1.0 EiB for h"));
}

TEST_CASE("SHA-256 of the standard's examples") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
