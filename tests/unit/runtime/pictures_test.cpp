// Pictures: decoders, sizes, patterns, lists and classes.
#include <fmt/format.h>
#include <png.h>
#include <zlib.h>

#include <numeric>

#include "runtime/data/dataset.h"
#include "runtime/data/fit_picture.h"
#include "runtime/data/picture_list.h"
#include "runtime/data/shuffle.h"
#include "runtime/files/decode_picture.h"
#include "runtime/files/pattern.h"
#include "tests/support/picture_files.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

constexpr Colour kWhite = {255, 255, 255}, kBlack = {0, 0, 0};

Result<Picture> decode(const std::string& file, int32_t channels = 3, Colour over = kWhite) {
  return decode_picture(as_byte_span(file), "x.png", channels, over);
}

std::vector<uint8_t> pixels_of(const std::string& file, int32_t channels = 3, Colour over = kWhite) {
  const auto picture = decode(file, channels, over);
  REQUIRE_MESSAGE(picture.has_value(), message_of(picture));
  return picture->pixels;
}

using Bytes = std::vector<uint8_t>;

PictureOptions sized(int64_t height, int64_t width, Fit fit) { return {height, width, 3, fit}; }

SourceCall images(std::vector<std::string> paths, PictureOptions options) {
  return {"images", std::move(paths), {}, options};
}

}  // namespace

TEST_CASE("every kind of PNG becomes 8 bits of what it stands for") {
  CHECK(pixels_of(png_file(2, 1, {1, 2, 3, 4, 5, 6}, {})) == Bytes{1, 2, 3, 4, 5, 6});
  CHECK(pixels_of(png_file(4, 1, {0b10100000}, {PNG_COLOR_TYPE_GRAY, 1}), 1) == Bytes{255, 0, 255, 0});
  CHECK(pixels_of(png_file(4, 1, {0b00011011}, {PNG_COLOR_TYPE_GRAY, 2}), 1) == Bytes{0, 85, 170, 255});
  CHECK(pixels_of(png_file(2, 1, {0x0F}, {PNG_COLOR_TYPE_GRAY, 4}), 1) == Bytes{0, 255});
  CHECK(pixels_of(png_file(1, 1, {200}, {PNG_COLOR_TYPE_GRAY, 8})) == Bytes{200, 200, 200});
  // 16 bits: 0x0080 is nearer to 0 than to 1 of 255, 0x0081 is not.
  CHECK(pixels_of(png_file(3, 1, {0x00, 0x80, 0x00, 0x81, 0xFF, 0xFF}, {PNG_COLOR_TYPE_GRAY, 16}), 1) ==
        Bytes{0, 1, 255});
  CHECK(pixels_of(png_file(1, 1, {1, 0, 2, 0, 255, 255}, {PNG_COLOR_TYPE_RGB, 16})) == Bytes{1, 2, 255});
  const PngKind palette{PNG_COLOR_TYPE_PALETTE, 8, false, {9, 8, 7, 10, 20, 30}, {255, 0}};
  CHECK(pixels_of(png_file(2, 1, {0, 1}, palette), 3, {1, 2, 3}) == Bytes{9, 8, 7, 1, 2, 3});
  CHECK(pixels_of(png_file(2, 1, {100, 255, 100, 0}, {PNG_COLOR_TYPE_GRAY_ALPHA, 8}), 1) == Bytes{100, 255});
  CHECK(pixels_of(png_file(1, 1, {100, 0, 50, 128}, {PNG_COLOR_TYPE_RGB_ALPHA, 8}), 3, kBlack) == Bytes{50, 0, 25});
  CHECK(pixels_of(png_file(1, 1, {100, 0, 50, 128}, {PNG_COLOR_TYPE_RGB_ALPHA, 8})) == Bytes{177, 127, 152});
  CHECK(pixels_of(png_file(3, 1, {255, 0, 0, 0, 255, 0, 0, 0, 255}, {}), 1) == Bytes{76, 150, 29});
  Bytes many(16 * 16 * 3);
  std::iota(many.begin(), many.end(), uint8_t{0});
  CHECK(pixels_of(png_file(16, 16, many, {.interlaced = true})) == many);
}

TEST_CASE("JPEG decodes in grey and in colour") {
  Bytes grey(16 * 8, 77), red;
  for (int i = 0; i < 64; ++i) red.insert(red.end(), {200, 30, 40});
  CHECK(pixels_of(jpeg_file(16, 8, 1, grey), 1) == grey);
  CHECK(pixels_of(jpeg_file(16, 8, 1, grey), 3).size() == 3 * grey.size());
  const Bytes decoded = pixels_of(jpeg_file(8, 8, 3, red));
  for (size_t i = 0; i < decoded.size(); ++i) CHECK(std::abs(decoded[i] - red[i]) <= 3);
  CHECK(pixels_of(jpeg_file(8, 8, 3, red), 1).size() == 64);
  CHECK(contains(message_of(decode(jpeg_file(8, 8, 4, Bytes(256)))), "four colours of a printer"));
}

TEST_CASE("what is no picture says what it is") {
  const std::pair<std::string, const char*> cases[] = {
      {"", "x.png: the file is empty"},
      {"GIF89a....", "this is a GIF | PNG and JPEG are read"},
      {"RIFF....WEBPVP8 ", "this is a WebP"},
      {"BM....", "this is a BMP"},
      {"<!DOCTYPE html>", "an HTML page"},
      {"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"},
      {"hello", "no picture: begins with the bytes 68 65 6c 6c"},
      {"\x89PNG\r\n\x1a\n", "damaged PNG: the file ends too early"},
      {"\xFF\xD8\xFF", "damaged JPEG: "},
  };
  for (const auto& [file, message] : cases) CHECK_MESSAGE(contains(message_of(decode(file)), message), message);
  const std::string png = plain_png(40, 40, 1, 2, 3);
  CHECK(contains(message_of(decode(png.substr(0, png.size() - 20))), "damaged PNG: the file ends too early"));
  CHECK(contains(message_of(decode(png.substr(0, png.size() - 3))), "damaged PNG: the file ends too early"));
  std::string flipped = png;
  flipped[png.size() - 20] ^= 1;
  CHECK(contains(message_of(decode(flipped)), "damaged PNG: "));
  Bytes noise(64 * 64 * 3);
  for (size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<uint8_t>(i * i * 7919 >> 3);
  const std::string jpeg = jpeg_file(64, 64, 3, noise);
  CHECK(contains(message_of(decode(jpeg.substr(0, jpeg.size() / 2))), "damaged JPEG: Premature end of JPEG file"));
}

TEST_CASE("a header that asks for more than the file can hold gets no memory") {
  std::string png = plain_png(4, 4, 1, 2, 3);
  const auto with_size = [&](uint32_t width, uint32_t height) {
    std::string out = png;
    for (int i = 0; i < 4; ++i) {
      out[static_cast<size_t>(16 + i)] = static_cast<char>(width >> (24 - 8 * i));
      out[static_cast<size_t>(20 + i)] = static_cast<char>(height >> (24 - 8 * i));
    }
    const auto crc = static_cast<uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(out.data() + 12), 17));
    for (int i = 0; i < 4; ++i) out[static_cast<size_t>(29 + i)] = static_cast<char>(crc >> (24 - 8 * i));
    return message_of(decode(out));
  };
  CHECK(contains(with_size(10'000, 10'000), "says that it has 10000 x 10000 pixels, which its"));
  CHECK(contains(with_size(900'000, 900'000), "the limit is 268435456 in all"));
  CHECK(contains(with_size(2'000'000, 1), "damaged PNG: "));
  CHECK(contains(with_size(0, 4), "damaged PNG: "));
}

TEST_CASE("no damaged picture does worse than an error") {
  Bytes rgba(24 * 24 * 4), rgb(24 * 24 * 3);
  for (size_t i = 0; i < rgba.size(); ++i) rgba[i] = static_cast<uint8_t>(i * 31);
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(i * 17);
  const std::string files[] = {
      png_file(24, 24, rgba, {PNG_COLOR_TYPE_RGB_ALPHA, 8, true}),
      png_file(4, 1, {0, 1, 0, 1}, {PNG_COLOR_TYPE_PALETTE, 8, false, {1, 2, 3, 4, 5, 6}, {9}}),
      jpeg_file(24, 24, 3, rgb), jpeg_file(24, 24, 1, Bytes(24 * 24, 5))};
  uint32_t seed = 1;
  for (const std::string& file : files) {
    for_each_mutant(file, 3000, seed++, [](const std::string& mutant) {
      for (const int32_t channels : {1, 3}) {
        const auto picture = decode(mutant, channels);
        if (!picture) continue;
        CHECK(picture->pixels.size() == static_cast<size_t>(picture->width * picture->height * channels));
      }
    });
  }
}

TEST_CASE("crop, pad and stretch") {
  // Two columns of colours, 4 wide and 2 high.
  Picture wide{4, 2, 3, {}};
  for (int i = 0; i < 8; ++i) {
    const auto value = static_cast<uint8_t>(i % 4 * 80);
    wide.pixels.insert(wide.pixels.end(), {value, value, value});
  }
  const auto red = [](const Picture& picture) {
    Bytes out;
    for (size_t i = 0; i < picture.pixels.size(); i += 3) out.push_back(picture.pixels[i]);
    return out;
  };
  CHECK(red(fit_picture(wide, sized(2, 4, Fit::Crop))) == red(wide));
  CHECK(red(fit_picture(wide, sized(2, 2, Fit::Crop))) == Bytes{80, 160, 80, 160});
  CHECK(red(fit_picture(wide, sized(4, 4, Fit::Pad))) ==
        Bytes{255, 255, 255, 255, 0, 80, 160, 240, 0, 80, 160, 240, 255, 255, 255, 255});
  // The triangle of Pillow: weights 1 3 3 1 of 8, cut at the borders.
  CHECK(red(fit_picture(wide, sized(1, 2, Fit::Stretch))) == Bytes{57, 183});
  for (const Fit fit : {Fit::Crop, Fit::Pad, Fit::Stretch}) {
    for (const auto& [height, width] : {std::pair{1, 1}, {3, 5}, {64, 64}, {7, 100}}) {
      Picture plain{11, 6, 3, Bytes(11 * 6 * 3, 255)};
      const Picture out = fit_picture(plain, sized(height, width, fit));
      CHECK(out.pixels == Bytes(static_cast<size_t>(height * width * 3), 255));
    }
  }
}

TEST_CASE("patterns match as a shell does, in an order of their own") {
  TempDirectory dir;
  std::filesystem::create_directories(dir / "a/b/c");
  for (const char* file : {"a/2.png", "a/10.png", "a/.3.png", "a/b/1.png", "a/b/c/x.png", "a/b/c/x.jpg", "B.png"})
    write_raw(dir / file, "x");
  std::filesystem::create_directory_symlink(dir.path(), dir / "a/b/up");
  const auto match = [&](const char* pattern) {
    const auto names = match_files(split_pattern(dir / pattern));
    return names ? fmt::format("{}", fmt::join(*names, " ")) : message_of(names);
  };
  CHECK(match("**/*.png") == "B.png a/10.png a/2.png a/b/1.png a/b/c/x.png");
  CHECK(match("a/*.png") == "10.png 2.png");
  CHECK(match("a/?.png") == "2.png");
  CHECK(match("a/.*.png") == ".3.png");
  CHECK(match("*/b/*/x*") == "a/b/c/x.jpg a/b/c/x.png");
  CHECK(match("a/**/c/**/*.j?g") == "b/c/x.jpg");
  CHECK(match("a/**/**/x.png*") == "b/c/x.png");
  CHECK(match("**") == "B.png a/10.png a/2.png a/b/1.png a/b/c/x.jpg a/b/c/x.png");
  CHECK(match("none/*").starts_with("cannot read the folder `"));
  CHECK(split_pattern("*.png").folder == ".");
  CHECK(split_pattern("/x*/y").folder == "/");
}

TEST_CASE("classes are folders or the second column of a list") {
  TempDirectory dir;
  std::filesystem::create_directories(dir / "pets/dog/old");
  std::filesystem::create_directories(dir / "pets/cat");
  std::filesystem::create_directories(dir / "more/cow");
  for (const char* file : {"pets/dog/1.png", "pets/dog/old/2.png", "pets/cat/1.png", "more/cow/1.png"})
    write_raw(dir / file, plain_png(4, 4, 10, 20, 30));
  write_raw(dir / "names.csv", "name,label\npets/dog/1.png,dog\n\"pets/cat/1.png\",cat\n");
  write_raw(dir / "numbers.csv", "pets/dog/1.png;7\npets/cat/1.png;3\n");
  write_raw(dir / "missing.csv", "pets/dog/1.png,7\npets/dog/9.png,3\n");
  write_raw(dir / "out.csv", "../x.png,7\n");
  const DataPaths paths{{}, dir.path()};
  PictureOptions folder = sized(4, 4, Fit::Crop), column = folder;
  folder.label = PictureLabel::Folder;
  column.label = PictureLabel::Column;
  const auto labels = [&](const SourceCall& source) {
    DataPlan plan = plan_of(source);
    plan.limits = {{1, 11, "Class", {}}};
    const auto set = Dataset::open(plan, plan.splits[0], paths, 2);
    if (!set) return message_of(set);
    const auto* values = reinterpret_cast<const int32_t*>(set->columns()[1].data.data());
    return fmt::format("{} of {}", fmt::join(std::span(values, static_cast<size_t>(set->rows())), " "),
                       fmt::join(set->classes(1), " "));
  };
  CHECK(labels(images({"pets/**/*.png"}, folder)) == "0 1 1 of cat dog");
  CHECK(labels(images({"names.csv"}, column)) == "1 0 of cat dog");
  CHECK(labels(images({"numbers.csv"}, column)) == "7 3 of ");
  const auto listed = [&](const char* first, const char* second) {
    write_raw(dir / "l.csv", fmt::format("file,kind\npets/dog/1.png,{}\npets/cat/1.png,{}\n", first, second));
    return labels(images({"l.csv"}, column));
  };
  CHECK(listed("1.0", " 4") == "1 4 of ");  // numbers as those of a csv column
  CHECK(listed("10.0", "2.0") == "10 2 of ");
  CHECK(contains(listed("-1", "2"), "l.csv: row 2: column `kind`: -1 is not in 0..10, the range of `Class` (11)"));
  CHECK(contains(listed("1", "1.5"), "l.csv: row 3: column `kind`: 1.5 is not in 0..10"));
  CHECK(contains(listed("1", "1.5"), "labels are whole numbers from 0; rows are lines of the file"));
  CHECK(contains(listed("1", "12"), "row 3: column `kind`: 12 is not in 0..10"));
  CHECK(contains(listed("1", "nan"), "row 3: column `kind`: `nan` is not a number"));
  CHECK(listed("?", "2") == "1 0 of 2 ?");
  const DataPlan mixed = plan_of(images({"l.csv"}, column));
  CHECK(contains(Dataset::open(mixed, mixed.splits[0], paths, 2)->notes().at(0),
                 "column `kind` has words and numbers: `?` (row 2) is no number, so `2` (row 3) is a word too"));
  CHECK(contains(labels(images({"missing.csv"}, column)), "missing.csv: row 2: there is no picture"));
  CHECK(contains(labels(images({"out.csv"}, column)), "`../x.png` leaves the list's folder"));
  CHECK(contains(labels(images({"pets/dog/*.png"}, folder)), "`1.png` is in no class folder"));
  CHECK(contains(labels(images({"pets/**/*.jpg"}, folder)), "the folder has 3 files, such as `cat/1.png`"));
  CHECK(contains(labels(images({"pets/**/*.png"}, column)), "`label = column` takes a list"));
  CHECK(contains(labels(images({"pets"}, folder)), "is a folder | say which files of it"));
  CHECK(contains(labels(images({"nets/*.png"}, folder)), "cannot find the folder of `nets/*.png`"));

  const std::string latin = "cat\xE9", large(201, 'x');  // names of folders are any bytes; a checkpoint is UTF-8
  for (const std::string& name : {latin, large}) {
    std::filesystem::create_directories(dir / "odd/" + name);
    write_raw(dir / "odd/" + name + "/1.png", plain_png(4, 4, 10, 20, 30));
    const std::string refused = labels(images({"odd/*/*.png"}, folder));
    CHECK_MESSAGE(
        contains(refused, name == latin ? "the class folder `cat\\xe9`: `cat\\xe9` is not UTF-8 | rename the folder"
                                        : "a word of 201 bytes; a label has at most 200"),
        refused);
    std::filesystem::remove_all(dir / "odd");
  }

  DataPlan plan = plan_of(images({"pets/**/*.png"}, folder));
  plan.limits = {{1, 1, "Class", {}}};
  CHECK(
      contains(message_of(Dataset::open(plan, plan.splits[0], paths)), "has 2 classes, `Class` is 1 | the first that"));
  plan.limits.clear();
  plan.splits.push_back({"valid", images({"more/**/*.png"}, folder)});
  CHECK(contains(message_of(Dataset::open(plan, plan.splits[1], paths)),
                 "`cow/1.png` is of class `cow`, which split `train` does not have | its 2 classes are cat, dog"));
}

TEST_CASE("pictures are the same on any number of threads, and so is the first that is damaged") {
  TempDirectory dir;
  for (int i = 0; i < 50; ++i)
    write_raw(dir / fmt::format("{:02}.png", i), plain_png(3 + i % 7, 5, static_cast<uint8_t>(i * 5), 7, 9));
  DataPlan plan = plan_of(images({"*.png"}, sized(6, 4, Fit::Pad)));
  const DataPaths paths{{}, dir.path()};
  const auto one = Dataset::open(plan, plan.splits[0], paths, 1);
  REQUIRE_MESSAGE(one.has_value(), message_of(one));
  CHECK(one->rows() == 50);
  for (const int threads : {2, 3, 8}) {
    const auto several = Dataset::open(plan, plan.splits[0], paths, threads);
    REQUIRE(several.has_value());
    CHECK(several->fingerprint() == one->fingerprint());
  }
  for (const int bad : {20, 21, 40}) write_raw(dir / fmt::format("{:02}.png", bad), "no picture");
  for (const int threads : {1, 2, 3, 8})
    CHECK(contains(message_of(Dataset::open(plan, plan.splits[0], paths, threads)), "20.png: no picture"));
}

TEST_CASE("shares cover all rows once, by the seed alone") {
  for (const int64_t count : {1, 2, 10, 1001}) {
    std::vector<int32_t> all, expected(static_cast<size_t>(count));
    for (const Share& share : {Share{0, 0.8}, Share{0.8, 0.9}, Share{0.9, 1}}) {
      const auto rows = rows_of_share(count, share, 7);
      CHECK(std::ranges::is_sorted(rows));
      CHECK(rows == rows_of_share(count, share, 7));
      all.insert(all.end(), rows.begin(), rows.end());
    }
    std::ranges::sort(all);
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(all == expected);
  }
  CHECK(rows_of_share(1000, {0, 0.9}, 1).size() == 900);
  CHECK(rows_of_share(1000, {0, 0.9}, 1) != rows_of_share(1000, {0, 0.9}, 2));
  CHECK(rows_of_share(10, {0.7, 1}, 7) == rows_of_share(10, {0.7, 1}, 7));
}
