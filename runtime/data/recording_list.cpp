#include "runtime/data/recording_list.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <unordered_set>

#include <fmt/format.h>

#include "runtime/files/message.h"
#include "runtime/files/pattern.h"

namespace smelt {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSoundExtensions[] = {".wav", ".flac", ".ogg", ".oga", ".opus"};

bool has_sound_extension(const std::string& name) {
  std::string extension = fs::path(name).extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::find(kSoundExtensions, extension) != std::end(kSoundExtensions);
}

Result<std::vector<std::string>> recordings_at(const std::string& place) {
  std::error_code ignored;
  const bool folder = !is_pattern(place) && fs::is_directory(place, ignored);
  if (!folder && !is_pattern(place)) return std::vector{place};
  const Pattern pattern = folder ? Pattern{place, "**/*"} : split_pattern(place);
  SMELT_TRY(std::vector<std::string> names, match_some(pattern));
  if (folder) {
    const std::string other = names.front();
    std::erase_if(names, [](const std::string& name) { return !has_sound_extension(name); });
    if (names.empty())
      return fail(
          ErrorKind::Input, fmt::format("the folder `{}` has no .wav, .flac or .ogg", printable(place)),
          fmt::format("it has such as `{}`; a pattern takes files of any name: `folder/*.oga`", printable(other)));
  }
  for (std::string& name : names) name = (fs::path(pattern.folder) / name).string();
  return names;
}

}  // namespace

Result<std::vector<std::string>> list_recordings(std::span<const std::string> places) {
  std::vector<std::string> files;
  std::unordered_set<std::string> seen;
  for (const std::string& place : places) {
    SMELT_TRY(std::vector<std::string> more, recordings_at(place));
    for (std::string& file : more)
      if (seen.insert(file).second) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace smelt
