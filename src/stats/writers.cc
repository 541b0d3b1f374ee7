// The forms in which statistics leave the process. Names and units are the same in all of them.

#include "stats/heap_stats.h"

namespace spanmalloc {

namespace {

struct Figure {
  const char* name;
  size_t value;
  const char* meaning;
};

// Calls write(figure) for every figure of the whole heap, in the order in which they add up.
template <typename Write>
void for_each_figure(const HeapStats& stats, Write write) {
  write({"mapped", stats.mapped, "bytes of pages that belong to the heap"});
  write({"in_use", stats.in_use, "bytes of pages in spans"});
  write({"free_retained", stats.free_retained, "bytes of free pages that the system still backs"});
  write({"released", stats.released, "bytes of pages given back or never touched"});
  write({"scavenged", stats.scavenged, "bytes given back since the start"});
  write({"live_small", stats.live_small(), "bytes of live blocks up to 128 KiB"});
  write({"live_large", stats.live_large, "bytes of larger live blocks"});
  write({"large_count", stats.large_count, "live blocks above 128 KiB"});
  write({"cached", stats.cached, "bytes of free blocks in thread caches and depots"});
  write({"free_in_spans", stats.free_in_spans, "bytes of free blocks in partly used spans"});
  write({"span_waste", stats.span_waste, "bytes behind the last blocks of spans"});
  write({"released_in_spans", stats.released_in_spans,
         "bytes of cached, free_in_spans and span_waste that were given back"});
  write({"partly_used_spans", stats.partly_used_spans, "spans with live and free blocks"});
  write({"metadata", stats.metadata, "bytes of the allocator's own records"});
  write({"thread_caches", stats.thread_caches, "thread caches made so far"});
}

// Calls write(class size, stats of the class) for every class that holds free blocks.
template <typename Write>
void for_each_class(const HeapStats& stats, Write write) {
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const ClassStats& of_class = stats.classes[index];
    if (of_class.cached + of_class.free_in_spans == 0) continue;
    write(size_t{kSizeClasses[index].object_bytes}, of_class);
  }
}

}  // namespace

void write_text(const HeapStats& stats, TextWriter& out) {
  out.text("spanmalloc statistics\n");
  for_each_figure(stats, [&](const Figure& figure) {
    out.text("  ").text(figure.name).text(" ").number(figure.value);
    out.text("  ").text(figure.meaning).text("\n");
  });
}

void write_json(const HeapStats& stats, TextWriter& out) {
  out.text("{");
  for_each_figure(stats, [&](const Figure& figure) {
    out.text("\"").text(figure.name).text("\": ").number(figure.value).text(", ");
  });
  out.text("\"classes\": [");
  const char* separator = "";
  for_each_class(stats, [&](size_t bytes, const ClassStats& of_class) {
    out.text(separator).text("{\"bytes\": ").number(bytes);
    out.text(", \"cached\": ").number(of_class.cached);
    out.text(", \"free_in_spans\": ").number(of_class.free_in_spans).text("}");
    separator = ", ";
  });
  out.text("]}\n");
}

void write_xml(const HeapStats& stats, TextWriter& out) {
  out.text("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
  for_each_class(stats, [&](size_t bytes, const ClassStats& of_class) {
    const size_t total = of_class.cached + of_class.free_in_spans;
    out.text("  <size from=\"").number(bytes).text("\" to=\"").number(bytes);
    out.text("\" total=\"").number(total).text("\" count=\"").number(total / bytes);
    out.text("\"/>\n");
  });
  out.text("</sizes>\n");
  out.text("<total type=\"fast\" count=\"0\" size=\"").number(stats.cached).text("\"/>\n");
  out.text("<total type=\"rest\" count=\"").number(stats.partly_used_spans);
  out.text("\" size=\"").number(stats.free_in_spans + stats.free_retained).text("\"/>\n");
  const size_t retained = stats.in_use + stats.free_retained;
  out.text("<system type=\"current\" size=\"").number(retained).text("\"/>\n");
  out.text("<system type=\"max\" size=\"").number(stats.mapped).text("\"/>\n");
  out.text("<aspace type=\"total\" size=\"").number(stats.mapped).text("\"/>\n</heap>\n");
  out.text("<total type=\"large\" count=\"").number(stats.large_count);
  out.text("\" size=\"").number(stats.live_large).text("\"/>\n");
  out.text("<total type=\"live\" count=\"0\" size=\"").number(stats.live()).text("\"/>\n");
  out.text("<system type=\"current\" size=\"").number(retained).text("\"/>\n");
  out.text("<system type=\"max\" size=\"").number(stats.mapped).text("\"/>\n");
  out.text("<aspace type=\"total\" size=\"").number(stats.mapped).text("\"/>\n</malloc>\n");
}

}  // namespace spanmalloc
