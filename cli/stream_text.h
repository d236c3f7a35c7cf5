// Prints the text of an export while it is written: each byte as soon as it is made.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "api/smelt/stream_export.h"
#include "ir/support/result.h"
#include "runtime/sequence_rows.h"
#include "runtime/session.h"

namespace smelt::cli {

/// What the standard output gets: a file or pipe the bytes, a terminal what it can show.
std::string fit_for_output(const std::string& text);

/// Runs an export whose one result is a text, with its rows along axis `rows`, and prints the first row as it is made,
/// then the others: in the end what text_of gives of the result. Errors: those of the run; Output.
Result<void> stream_text(StreamedExport& streamed, std::span<const NamedTensor> inputs, int32_t rows,
                         const DecodeLabels& decode);

}  // namespace smelt::cli
