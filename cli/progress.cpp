#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "cli/console.h"

namespace smelt::cli {
namespace {

const std::chrono::steady_clock::time_point kProcessStart = std::chrono::steady_clock::now();

constexpr size_t kSparkline = 24;
constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kPlainLine = std::chrono::seconds(10);

int terminal_width() {
  if (const char* columns = std::getenv("COLUMNS")) {
    if (const int width = std::atoi(columns); width > 0) return width;
  }
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::chrono::steady_clock::time_point process_start() { return kProcessStart; }

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  const auto total = static_cast<int64_t>(seconds + 0.5);
  if (total < 60) return fmt::format("{} s", total);
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

std::string sparkline(const std::deque<double>& values) {
  static constexpr const char* kLevels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (values.empty()) return {};
  const auto [low, high] = std::ranges::minmax(values);
  std::string out;
  for (const double value : values) {
    const double share = high > low ? (value - low) / (high - low) : 0;
    out += kLevels[std::clamp(static_cast<int>(share * 7.999), 0, 7)];
  }
  return out;
}

Progress::Progress() : terminal_(isatty(STDERR_FILENO) != 0), width_(terminal_width()) {}
Progress::~Progress() { clear_bar(); }

void Progress::on_start(int64_t first_step, int64_t target) {
  first_step_ = first_step;
  start_ = last_drawn_ = last_line_ = Clock::now();
  if (first_step > target)
    line(fmt::format("the run is at step {} already, behind step {}: nothing is trained", first_step, target));
  else if (first_step > 0)
    line(fmt::format("resumed at step {} of {}", first_step, target));
}

std::string Progress::losses(const StepReport& report) const {
  std::string out;
  std::string_view last;
  for (const ObjectiveValues& call : report.calls) {
    if (call.loss.name == last) continue;  // `5 * critic` shows once
    last = call.loss.name;
    out += fmt::format("{}{} {:.4g}", out.empty() ? "" : "  ", call.loss.name, without_sign_of_nan(call.loss.value));
  }
  return out;
}

void Progress::on_step(const StepReport& report) {
  const auto now = Clock::now();
  if (first_step_ms_ == 0) first_step_ms_ = std::chrono::duration<double, std::milli>(now - kProcessStart).count();
  if (!report.calls.empty() && std::isfinite(report.calls[0].loss.value)) {
    mean_loss_ += report.calls[0].loss.value;
    ++mean_count_;
  }
  const bool last = report.step == report.target;
  if (terminal_) {
    if (now - last_drawn_ >= kRedraw || last) {
      if (mean_count_ > 0) history_.push_back(mean_loss_ / static_cast<double>(mean_count_));
      if (history_.size() > kSparkline) history_.pop_front();
      mean_loss_ = 0;
      mean_count_ = 0;
      draw_bar(report);
      last_drawn_ = now;
    }
    return;
  }
  if (report.epoch == shown_epoch_ && now - last_line_ < kPlainLine && !last) return;
  shown_epoch_ = report.epoch;
  last_line_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  line(fmt::format("step {}/{}  epoch {}  {}  {}", report.step, report.target, report.epoch, losses(report),
                   duration(seconds)));
}

void Progress::draw_bar(const StepReport& report) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double done = static_cast<double>(report.step - first_step_);
  const double left = static_cast<double>(report.target - report.step);
  const double rate = done / std::max(seconds, 1e-9);
  std::string text = fmt::format(" {}/{}  {}  {:.0f} steps/s", report.step, report.target, losses(report), rate);
  if (report.rows > 0) text += fmt::format("  {:.3g} rows/s", rate * static_cast<double>(report.rows));
  text += fmt::format("  ETA {}", duration(left / rate));
  const int room = width_ - static_cast<int>(text.size()) - static_cast<int>(history_.size()) - 6;
  std::string bar;
  if (room >= 6) {
    const int cells = std::min(room, 30);
    const int full = static_cast<int>(static_cast<double>(cells) * static_cast<double>(report.step) /
                                      static_cast<double>(std::max<int64_t>(report.target, 1)));
    for (int i = 0; i < cells; ++i) bar += i < full ? "━" : "╌";
  }
  if (room >= 0) text += "  " + sparkline(history_);
  if (room < 0) text = text.substr(0, static_cast<size_t>(std::max(width_ - 1, 1)));
  say_raw(fmt::format("\r\x1b[2K{}{}", bar, text));
  bar_shown_ = true;
}

void Progress::clear_bar() {
  if (!bar_shown_) return;
  say_raw("\r\x1b[2K");
  bar_shown_ = false;
}

void Progress::line(const std::string& text) {
  clear_bar();
  say_line(text);
}

void Progress::on_evaluation(int64_t step, std::string_view split, std::span<const NamedValue> values) {
  std::string text = fmt::format("step {}  {}:", step, split);
  for (const NamedValue& value : values)
    text += fmt::format("  {} {:.5g}", value.name, without_sign_of_nan(value.value));
  line(text);
}
void Progress::on_output(int64_t step, std::string_view what, const std::string& path) {
  line(fmt::format("step {}  {} {}", step, what, path));
}
void Progress::on_checkpoint(int64_t step, const std::string& path, bool best) {
  line(fmt::format("step {}  {}checkpoint {}", step, best ? "best " : "", path));
}
void Progress::on_note(const std::string& text) { line("note: " + text); }

}  // namespace smelt::cli
