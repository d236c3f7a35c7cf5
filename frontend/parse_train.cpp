// The `train` section: data, batch, steps, loop, actions.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "frontend/line_forms.h"
#include "frontend/parser_impl.h"
#include "ir/support/suggest.h"

namespace smelt {

void Parser::train_section() {
  ast::TrainDecl decl;
  const Span begin = previous().span;
  if (at(TokenKind::Name)) decl.name = expect_name("a name");
  braced("a train section", [&] {
    ast::TrainItem item = train_item();
    if (!panic_) decl.items.push_back(std::move(item));
  });
  decl.span = since(begin);
  ast_.trains.push_back(std::move(decl));
}

namespace {

using frontend::LineForm;

/// While it lives, errors show this form.
class FormOf {
 public:
  FormOf(std::string_view& shown, std::string_view form) : shown_(shown), before_(std::exchange(shown, form)) {}
  FormOf(const FormOf&) = delete;
  FormOf& operator=(const FormOf&) = delete;
  ~FormOf() { shown_ = before_; }

 private:
  std::string_view& shown_;
  std::string_view before_;
};

std::string_view form_of(std::string_view word) {
  const auto* const known = std::ranges::find(frontend::kTrainLines, word, &LineForm::word);
  return known == std::end(frontend::kTrainLines) ? std::string_view() : known->form;
}

/// Settings of other frameworks that stand elsewhere here.
constexpr LineForm kElsewhere[] = {{"lr", "step loss with adam(lr = 1e-3)"},
                                   {"learning_rate", "step loss with adam(lr = 1e-3)"},
                                   {"optimizer", "step loss with adam(lr = 1e-3)"},
                                   {"optimiser", "step loss with adam(lr = 1e-3)"},
                                   {"batch_size", "batch B = 128, shuffle"},
                                   {"shuffle", "batch B = 128, shuffle"},
                                   {"checkpoint", "every 1 epoch { checkpoint keep 3 }"},
                                   {"eval", "every 1 epoch { eval valid: loss }"},
                                   {"save", "every 1 epoch { checkpoint keep 3 }"},
                                   {"plateau", "slow loss by 0.1 when no better(min loss, 5)"},
                                   {"image", "every 1 epoch { image grid(x, 8) to \"x-{epoch}.png\" }"}};

}  // namespace

/// What the tokens behind the first one tell of the line; empty when nothing.
std::string Parser::help_for_train_line() const {
  const auto meant = [&](std::string_view word) { return did_you_mean(peek().text, std::array{word}); };
  const std::string_view second = peek(1).text, third = peek(2).text;
  if (at(TokenKind::Integer) && (second == "step" || second == "steps" || second == "epoch" || second == "epochs"))
    return fmt::format("write `every {} {} {{ .. }}`", peek().text, second);
  if (!at(TokenKind::Name)) return {};
  if (const auto* const known = std::ranges::find(kElsewhere, peek().text, &LineForm::word);
      known != std::end(kElsewhere))
    return fmt::format("write `{}`", known->form);
  const std::string first = printable(peek().text);
  if (second == "when") return meant("stop");  // `stp when`, although `step` is as near
  if (third == "with") return meant("step");
  if (second == "with") return fmt::format("write `step {} with ..`", first);
  if (peek(1).kind != TokenKind::Equal) return {};
  return peek(3).text == "decay" ? fmt::format("write `ema {} = ..`", first)
                                 : fmt::format("write `batch {} = ..`", first);
}

ast::TrainItem Parser::train_item() {
  static constexpr std::string_view kWords[] = {"data", "batch", "epochs", "steps", "seed", "precision",
                                                "step", "loop",  "ema",    "every", "stop", "slow"};
  const Span begin = peek().span;
  ast::TrainItem item;
  const FormOf form(form_, form_of(peek().text));
  if (accept_word("data"))
    item.node = ast::DataItem{expect_name("the name of a data section")};
  else if (accept_word("batch"))
    item.node = batch_item();
  else if (at_word("epochs") || at_word("steps") || at_word("seed")) {
    ast::NumberItem number;
    number.what = expect_name("a setting");
    if (at(TokenKind::Equal)) fail(fmt::format("expected a number behind `{}`, found `=`", number.what.text));
    number.value = binary(0);
    item.node = number;
  } else if (accept_word("precision"))
    item.node = ast::PrecisionItem{expect_name("an element type")};
  else if (accept_word("step")) {
    ast::StepItem step;
    step.objective = expect_name("the name of an objective");
    expect_word("with", "a step line");
    if (!panic_) step.optimiser = expression();
    if (!panic_ && at_word("for"))
      fail("the first optimiser of a step line is for all that the others leave, found `for`",
           "put it behind one: `step loss with adam(lr = 1e-3), sgd(lr = 0.1) for net.head`; `updates` of the "
           "objective says "
           "what is trained at all");
    while (!panic_ && accept(TokenKind::Comma)) step.groups.push_back(step_group());
    item.node = std::move(step);
  } else if (accept_word("loop"))
    item.node = loop_item();
  else if (accept_word("ema"))
    item.node = ema_item();
  else if (accept_word("every"))
    item.node = every_item();
  else if (accept_word("stop")) {
    expect_word("when", "a stop line");
    item.node = panic_ ? ast::StopItem{} : stop_item();
  } else if (accept_word("slow")) {
    item.node = slow_item();
  } else {
    std::string help = help_for_train_line();
    if (help.empty() && at(TokenKind::Name)) help = did_you_mean(peek().text, kWords);
    if (help.empty()) help = fmt::format("a line starts with one of {}", fmt::join(kWords, ", "));
    fail(fmt::format("expected a line of a train section, found {}", found()), std::move(help));
  }
  item.span = since(begin);
  return item;
}

// batch B = 128, shuffle, bucket = 50
ast::BatchItem Parser::batch_item() {
  ast::BatchItem item;
  item.dim = expect_name("the name of the batch dim");
  expect(TokenKind::Equal, "a batch line");
  if (!panic_) item.size = binary(0);
  if (panic_ || !accept(TokenKind::Comma)) return item;
  if (!at_word("bucket")) {
    item.shuffle = expect_word("shuffle", "a batch line");
    if (panic_ || !accept(TokenKind::Comma)) return item;
  }
  if (!accept_word("bucket")) {
    fail(fmt::format("expected `bucket` in a batch line, found {}", found()),
         "rows of like length: `batch B = 128, shuffle, bucket = 50`");
    return item;
  }
  expect(TokenKind::Equal, "`bucket = 50`");
  if (!panic_) item.bucket = binary(0);
  return item;
}

// step loss with adam(lr = 1e-3), adam(lr = 1e-4) for net.head
ast::StepGroup Parser::step_group() {
  ast::StepGroup group;
  group.optimiser = expression();
  if (panic_) return group;
  if (!accept_word("for")) {
    fail(fmt::format("expected `for`, found {}", found()),
         "a second optimiser says which parameters it is for: `.. with adam(lr = 1e-3), sgd(lr = 0.1) for net.head`");
    return group;
  }
  group.selector = postfix();
  return group;
}

// loop { 5 * critic; gen } on one batch
ast::LoopItem Parser::loop_item() {
  ast::LoopItem item;
  braced("a loop", [&] { item.groups.push_back(loop_group()); });
  if (panic_ || !accept_word("on")) return item;
  item.one_batch = accept_word("one") && accept_word("batch");
  if (!item.one_batch)
    fail(fmt::format("expected `on one batch` after a loop, found {}", found()),
         "all runs of an iteration read the same rows with `loop { .. } on one batch`");
  return item;
}

ast::LoopGroup Parser::loop_group() {
  ast::LoopGroup group;
  const Span begin = peek().span;
  group.together = at_word("together") && peek(1).kind == TokenKind::OpenBrace;
  if (group.together) {
    advance();
    braced("together", [&] { group.entries.push_back(loop_entry()); });
  } else {
    group.entries.push_back(loop_entry());
  }
  group.span = since(begin);
  return group;
}

ast::LoopEntry Parser::loop_entry() {
  ast::LoopEntry entry;
  if (!at(TokenKind::Name) || peek(1).kind == TokenKind::Star) {
    entry.times = power();
    expect(TokenKind::Star, "a loop");
  }
  if (at_word("together") && peek(1).kind == TokenKind::OpenBrace)
    return fail("what runs together runs once an iteration, found a number of times",
                "take the number away; others may run more often beside it: `loop { 5 * critic; together { d; g } }`"),
           entry;
  entry.objective = expect_name("the name of an objective");
  return entry;
}

// stop when nan(loss), stop when no better(min loss, 5)
ast::StopItem Parser::stop_item() {
  ast::StopItem item;
  if (!at_word("no") || peek(1).text != "better") {
    item.condition = binary(0);
    return item;
  }
  no_better(item.best_direction, item.best_metric, item.evaluations, "a stop line");
  return item;
}

// slow loss by 0.5 when no better(min loss, 5)
ast::SlowItem Parser::slow_item() {
  constexpr std::string_view kLine = "a slow line";
  ast::SlowItem item;
  item.objective = expect_name("the name of an objective");
  expect_word("by", kLine);
  if (!panic_) item.factor = binary(0);
  expect_word("when", kLine);
  if (panic_) return item;
  if (!at_word("no") || peek(1).text != "better") {
    fail(fmt::format("expected `no better` in {}, found {}", kLine, found()),
         "a rate falls when a metric is no better: `slow loss by 0.5 when no better(min loss, 5)`; one that depends on "
         "the iteration is a schedule");
    return item;
  }
  no_better(item.best_direction, item.best_metric, item.evaluations, kLine);
  return item;
}

// no better(min loss, 5)
void Parser::no_better(ast::Ident& direction, ast::Ident& metric, ast::ExprId& evaluations, std::string_view line) {
  advance(), advance();
  expect(TokenKind::OpenParen, line);
  best_of(direction, metric);
  expect(TokenKind::Comma, line);
  if (!panic_) evaluations = binary(0);
  expect(TokenKind::CloseParen, line);
}

// min loss, max acc
void Parser::best_of(ast::Ident& direction, ast::Ident& metric) {
  if (!panic_ && !at_word("max") && !at_word("min")) fail(fmt::format("expected `max` or `min`, found {}", found()));
  direction = expect_name("`max` or `min`");
  metric = expect_name("the name of an objective or metric");
}

// ema G_avg = G decay 0.999
ast::EmaItem Parser::ema_item() {
  ast::EmaItem item;
  item.name = expect_name("the name of the average");
  expect(TokenKind::Equal, "an ema line");
  if (!panic_) item.model = postfix();
  expect_word("decay", "an ema line");
  if (!panic_) item.decay = binary(0);
  return item;
}

// every 1 epoch { eval valid: loss, acc }
ast::EveryItem Parser::every_item() {
  ast::EveryItem item;
  const bool outer = std::exchange(brace_is_block_, true);
  item.count = power();
  brace_is_block_ = outer;
  item.unit = expect_name("`step`, `steps`, `epoch` or `epochs`");
  const std::string& unit = item.unit.text;
  if (!panic_ && unit != "step" && unit != "steps" && unit != "epoch" && unit != "epochs") {
    --at_;
    fail(fmt::format("expected `step`, `steps`, `epoch` or `epochs`, found `{}`", printable(unit)));
  }
  if (panic_) return item;
  braced("the actions of an every line", [&] {
    ast::Action a = action();
    if (!panic_) item.actions.push_back(std::move(a));
  });
  return item;
}

ast::Action Parser::action() {
  static constexpr std::string_view kWords[] = {"eval", "image", "text", "audio", "checkpoint"};
  ast::Action result;
  const Span begin = peek().span;
  const FormOf form(form_, form_of(peek().text));
  if (accept_word("eval")) {
    ast::EvalAction eval;
    eval.split = expect_name("the name of a split");
    expect(TokenKind::Colon, "an eval action");
    do eval.names.push_back(expect_name("the name of an objective or metric"));
    while (!panic_ && accept(TokenKind::Comma));
    result.node = std::move(eval);
  } else if (accept_word("image")) {
    result.node = output_action(ast::OutputKind::Image);
  } else if (accept_word("text")) {
    result.node = output_action(ast::OutputKind::Text);
  } else if (accept_word("audio")) {
    result.node = output_action(ast::OutputKind::Audio);
  } else if (accept_word("checkpoint")) {
    result.node = checkpoint_action();
  } else {
    std::string help = at(TokenKind::Name) ? did_you_mean(peek().text, kWords) : "";
    if (help.empty()) help = fmt::format("an action is one of {}", fmt::join(kWords, ", "));
    fail(fmt::format("expected an action, found {}", found()), std::move(help));
  }
  result.span = since(begin);
  return result;
}

// image grid(x, 8) to "x.png", audio say(x) at 8000 to "x.wav"
ast::OutputAction Parser::output_action(ast::OutputKind kind) {
  ast::OutputAction output{kind, expression(), {}, {}};
  if (kind == ast::OutputKind::Audio && accept_word("at")) output.rate = expression();
  expect_word("to", "an action");
  if (!panic_) output.path = atom();
  return output;
}

// checkpoint keep 3, checkpoint keep best(max acc)
ast::CheckpointAction Parser::checkpoint_action() {
  ast::CheckpointAction action;
  if (at_end_of_statement()) return action;
  expect_word("keep", "a checkpoint action");
  if (panic_) return action;
  if (!at_word("best")) {
    action.keep = binary(0);
    return action;
  }
  advance();
  expect(TokenKind::OpenParen, "a checkpoint action");
  best_of(action.best_direction, action.best_metric);
  expect(TokenKind::CloseParen, "a checkpoint action");
  return action;
}

}  // namespace smelt
