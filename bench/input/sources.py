"""Writes source text, the same at every call.

usage: sources.py library|circuit|chip|modules|messages|lists <size> <file>
"""
import random
import sys


def write_library(source, size, out):
    """A documented C++ header, `size` classes long."""
    out.write('#pragma once\n#include <map>\n#include <string>\n#include <vector>\n\n')
    for number in range(size):
        base = f' : public Class{source.randrange(number)}' if number % 3 else ''
        out.write(f'/** Class number {number}: keeps values of \\c Class{max(number - 1, 0)} and '
                  f'prints them.\n *  \\see Class{number // 2} */\nclass Class{number}{base}\n{{\n'
                  ' public:\n')
        for index in range(source.randrange(4, 12)):
            kind = source.choice(['int', 'std::string', 'std::vector<int>', 'const char*'])
            out.write(f'  /** Gives value {index}.\n   *  \\param first the first of them\n'
                      '   *  \\return what was found, see \\ref work_0 */\n'
                      f'  {kind} work_{index}(int first,{kind} second={{}},'
                      f'std::map<std::string,{kind}>* third=nullptr)const{{\n'
                      f'if(first>{index}&&third!=nullptr){{return second;}}else{{for(int i=0;'
                      f'i<{index};++i)(void)i;}}return {kind}{{}};}}\n'
                      if kind != 'const char*' else
                      f'  /// Name {index} of the class.\n  {kind} work_{index}()const'
                      f'{{return "{index}";}}\n')
        out.write(f' private:\n  int value_{number}=0; ///< One value.\n'
                  f'  std::vector<std::string>names_{number};\n}};\n\n')


def write_circuit(source, size, out):
    """Verilog: `size` stages of arithmetic, choices and registers."""
    out.write('module top(input clock, input [15:0] a, input [15:0] b, output [15:0] result);\n'
              'reg [15:0] r0;\nalways @(posedge clock) r0 <= a ^ b;\n')
    for number in range(1, size):
        one, two = source.randrange(number), source.randrange(number)
        kind = source.choice([f'r{one} + r{two}', f'r{one} & ~r{two}', f'r{one} - (a ^ r{two})',
                              f'r{one}[3] ? r{two} : {{b[7:0], r{one}[15:8]}}',
                              f'(r{one} < r{two}) ? r{one} : (r{two} << r{one}[1:0])'])
        out.write(f'reg [15:0] r{number};\nalways @(posedge clock) begin\n'
                  f'  case (a[1:0])\n    2\'d0: r{number} <= {kind};\n'
                  f'    2\'d1: r{number} <= r{one} | b;\n    default: r{number} <= ~r{two};\n'
                  '  endcase\nend\n')
    out.write(f'assign result = {" ^ ".join(f"r{number}" for number in range(size))};\n'
              'endmodule\n')


def write_chip(source, size, out):
    """Verilog: `size` modules in a row, each with 30 words of logic of its own and a register."""
    for number in range(size):
        out.write(f'module part{number}(input clock, input [31:0] a, input [31:0] b, '
                  'output reg [31:0] q);\n')
        for word in range(30):
            before = f' + w{word - 1}' if word > 0 else ''
            out.write(f'  wire [31:0] w{word} = (a + {source.randrange(1 << 30)}) ^ '
                      f'(b << {word % 31}){before};\n')
        out.write('  always @(posedge clock) begin\n')
        for bit in range(10):
            out.write(f'    if (w{bit}[{bit}]) q <= w{bit + 5} + w{bit + 9}; '
                      f'else q <= w{bit + 2} - {bit};\n')
        out.write('  end\nendmodule\n')
    out.write('module top(input clock, input [31:0] a, output [31:0] q);\n'
              f'  wire [31:0] t[0:{size}];\n  assign t[0] = a;\n  assign q = t[{size}];\n')
    for number in range(size):
        out.write(f'  part{number} u{number}(.clock(clock), .a(t[{number}]), .b(a), '
                  f'.q(t[{number + 1}]));\n')
    out.write('endmodule\n')


def write_modules(_, size, out):
    """C++ with `size` classes of its own in standard containers, no two alike."""
    out.write('#include <algorithm>\n#include <map>\n#include <memory>\n#include <string>\n'
              '#include <vector>\n')
    for number in range(size):
        out.write(f'''
struct Value{number} {{ int key; std::string name; double weight; }};
template <typename Type> struct Store{number} {{
  std::map<int, std::vector<Type>> rows;
  std::unique_ptr<Store{number}> next;
  int add(Type value) {{ rows[value.key % {number + 3}].push_back(std::move(value)); return 1; }}
  double total() const {{
    double sum = next ? next->total() : 0;
    for (const auto& [key, list] : rows) for (const auto& row : list) sum += row.weight + key;
    return sum;
  }}
}};
double work{number}(int count) {{
  Store{number}<Value{number}> store;
  for (int i = 0; i < count; ++i) store.add({{i, "row " + std::to_string(i), i * 0.5}});
  for (auto& [key, list] : store.rows)
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {{
      return a.name < b.name;
    }});
  return store.total();
}}
''')


def write_messages(source, size, out):
    """Types of messages in the language of protocol buffers."""
    out.write('syntax = "proto3";\npackage work;\n')
    for number in range(size):
        out.write(f'message Part{number} {{\n  enum Kind {{ NONE_{number} = 0; ONE_{number} = 1; }}\n'
                  '  Kind kind = 1;\n  string name = 2;\n  map<string, int64> counts = 3;\n'
                  f'  repeated Part{source.randrange(number + 1)} parts = 4;\n'
                  f'  oneof rest {{ bytes raw = 5; Part{source.randrange(number + 1)} one = 6; }}\n')
        for field in range(7, 7 + source.randrange(6)):
            kind = source.choice(['int32', 'double', 'string', 'repeated uint64'])
            out.write(f'  {kind} field_{field} = {field};\n')
        out.write('}\n')


def write_lists(source, size, out):
    """C with `size` functions that keep lists, some of them carelessly."""
    out.write('#include <stdlib.h>\n')
    for number in range(size):
        limit = source.randrange(1, 40)
        out.write(f'struct item{number} {{ int value; char *text; struct item{number} *next; }};\n'
                  f'static int walk{number}(struct item{number} *item, int count) {{\n'
                  '  int sum = 0;\n  for (int i = 0; i < count; i++) {\n'
                  f'    if (item->value > {limit}) {{\n      char *text = malloc(count);\n'
                  '      if (!text) return -1;\n      text[0] = (char)sum;\n'
                  f'      if (sum > {3 * limit}) free(text); else item->text = text;\n'
                  '    } else if (item->next) {\n      item = item->next;\n      sum -= i;\n    }\n'
                  f'    switch (i % {2 + number % 5}) {{\n    case 0: sum++; break;\n'
                  '    case 1: sum += item->value; break;\n    default: sum = -sum;\n    }\n  }\n'
                  '  return sum;\n}\n')


def main():
    writers = {'library': write_library, 'circuit': write_circuit, 'chip': write_chip,
               'modules': write_modules, 'messages': write_messages, 'lists': write_lists}
    what, size, path = sys.argv[1:]
    with open(path, 'w', encoding='ascii') as out:
        writers[what](random.Random(6), int(size), out)


main()
