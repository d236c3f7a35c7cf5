#include "runtime/files/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "runtime/files/message.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxDepth = 64;  // of folders inside each other

bool matches(std::string_view pattern, std::string_view name) {
  // The last `*` may take more of the name whenever what follows it does not match.
  size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p, ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool hidden_from(std::string_view pattern, std::string_view name) {
  return name.starts_with('.') && !pattern.starts_with('.');
}

class Walk {
 public:
  explicit Walk(const std::string& folder) : root_(folder) {}

  Result<std::vector<std::string>> run(std::span<const std::string> parts) {
    SMELT_TRY_VOID(visit(root_, "", parts));
    std::ranges::sort(found_);
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());  // `**` may reach a folder in several ways
    return std::move(found_);
  }

 private:
  /// Files of `folder` by the first part, folders by the rest; a `**` stands for nothing or for a folder and itself.
  Result<void> visit(const fs::path& folder, const std::string& prefix, std::span<const std::string> parts) {
    if (parts.front() == "**" && parts.size() > 1) SMELT_TRY_VOID(visit(folder, prefix, parts.subspan(1)));
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (error) return unreadable(folder, error);
    // A link back to a folder above would go round for ever.
    if (std::ranges::find(above_, real) != above_.end() || above_.size() > kMaxDepth) return {};
    above_.push_back(real);
    fs::directory_iterator entries(folder, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error))
      SMELT_TRY_VOID(enter(*entries, prefix, parts));
    above_.pop_back();
    if (error) return unreadable(folder, error);
    return {};
  }

  static std::unexpected<Error> unreadable(const fs::path& folder, const std::error_code& error) {
    return fail(ErrorKind::Input,
                fmt::format("cannot read the folder `{}`: {}", printable(folder.string()), errno_text(error.value())));
  }

  Result<void> enter(const fs::directory_entry& entry, const std::string& prefix, std::span<const std::string> parts) {
    const std::string name = entry.path().filename().string();
    const bool any_depth = parts.front() == "**";
    if (hidden_from(parts.front(), name)) return {};
    std::error_code ignored;
    if (parts.size() == 1) {
      if (matches(parts.front(), name) && !entry.is_directory(ignored)) found_.push_back(prefix + name);
      if (!any_depth) return {};
    }
    if (!entry.is_directory(ignored)) return {};
    if (any_depth) return visit(entry.path(), prefix + name + "/", parts);
    return matches(parts.front(), name) ? visit(entry.path(), prefix + name + "/", parts.subspan(1)) : Result<void>();
  }

  fs::path root_;
  std::vector<fs::path> above_;
  std::vector<std::string> found_;
};

}  // namespace

bool is_pattern(std::string_view path) { return path.find_first_of("*?") != std::string_view::npos; }

Pattern split_pattern(const std::string& path) {
  const size_t slash = path.rfind('/', path.find_first_of("*?"));
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Result<std::vector<std::string>> match_files(const Pattern& pattern) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= pattern.rest.size();) {
    const size_t slash = std::min(pattern.rest.find('/', at), pattern.rest.size());
    if (slash > at && (parts.empty() || parts.back() != "**" || pattern.rest.substr(at, slash - at) != "**"))
      parts.push_back(pattern.rest.substr(at, slash - at));
    at = slash + 1;
  }
  if (parts.empty()) return std::vector<std::string>();
  return Walk(pattern.folder).run(parts);
}

Result<std::vector<std::string>> match_some(const Pattern& pattern) {
  SMELT_TRY(std::vector<std::string> names, match_files(pattern));
  if (!names.empty()) return names;
  const Result<std::vector<std::string>> others = match_files({pattern.folder, "**/*"});
  return fail(ErrorKind::Input,
              fmt::format("no file matches `{}`", printable((fs::path(pattern.folder) / pattern.rest).string())),
              !others || others->empty()
                  ? "the folder has no files"
                  : fmt::format("the folder has {} files, such as `{}`", others->size(), printable(others->front())));
}

}  // namespace smelt
