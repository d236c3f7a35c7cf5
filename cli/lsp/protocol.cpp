#include "cli/lsp/protocol.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "runtime/files/descriptor.h"
#include "runtime/files/file.h"

namespace smelt::cli::lsp {

namespace {

constexpr size_t kMaxMessage = 256u << 20;  // a model file has at most 16 MB

/// The number behind `Content-Length:`; names of headers are in any case.
std::optional<size_t> length_of(std::string_view header) {
  for (size_t at = 0; at < header.size();) {
    const size_t end = std::min(header.find("\r\n", at), header.size());
    const std::string_view line = header.substr(at, end - at);
    const size_t colon = line.find(':');
    std::string name(line.substr(0, std::min(colon, line.size())));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (name == "content-length" && colon != std::string_view::npos) {
      std::string_view number = line.substr(colon + 1);
      while (number.starts_with(' ')) number.remove_prefix(1);
      size_t length = 0;
      const auto [last, error] = std::from_chars(number.data(), number.data() + number.size(), length);
      if (error == std::errc() && length <= kMaxMessage) return length;
    }
    at = end + 2;
  }
  return std::nullopt;
}

}  // namespace

bool Channel::fill() {
  std::array<char, 65536> part;
  ssize_t count = 0;
  do count = ::read(in_, part.data(), part.size());
  while (count < 0 && errno == EINTR);  // as when the process is stopped and goes on
  if (count <= 0) return false;
  buffer_.append(part.data(), static_cast<size_t>(count));
  return true;
}

bool Channel::more() const {
  if (!buffer_.empty()) return true;
  pollfd input{in_, POLLIN, 0};
  return ::poll(&input, 1, 0) > 0 && (input.revents & POLLIN) != 0;
}

std::optional<nlohmann::json> Channel::read() {
  size_t head = 0;
  while ((head = buffer_.find("\r\n\r\n")) == std::string::npos)
    if (buffer_.size() > kMaxMessage || !fill()) return std::nullopt;
  const std::optional<size_t> length = length_of(std::string_view(buffer_).substr(0, head));
  if (!length) return std::nullopt;
  buffer_.erase(0, head + 4);
  while (buffer_.size() < *length)
    if (!fill()) return std::nullopt;
  nlohmann::json message = nlohmann::json::parse(buffer_.substr(0, *length), nullptr, false);
  buffer_.erase(0, *length);
  return message;
}

bool Channel::write(const nlohmann::json& message) {
  const std::string body = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::string all = fmt::format("Content-Length: {}\r\n\r\n{}", body.size(), body);
  return write_all(out_, as_byte_span(all)) == 0;
}

}  // namespace smelt::cli::lsp
