// Joins the objects of a program's parts into one that has nothing left to relocate.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace smelt {

/// `parts`: x86-64 relocatable ELF as LLVM writes it. All code comes first, part by part, then all constants, in one
/// section; calls and constants are found relative to the instruction, so the result runs wherever it is mapped.
/// Names in `exported` are global symbols of the result, all others local ones for debuggers and profilers.
/// A name that no part defines, or two define, is our mistake (InternalError).
std::vector<char> link_objects(const std::vector<std::vector<char>>& parts, const std::set<std::string>& exported);

}  // namespace smelt
