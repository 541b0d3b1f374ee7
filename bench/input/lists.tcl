# Lists, dictionaries and strings in Tcl, where every value is an object of its own.
# usage: lists.tcl <rounds>
set state 9
proc pick {limit} {
    global state
    set state [expr {($state * 1103515245 + 12345) % 2147483648}]
    return [expr {($state >> 8) % $limit}]
}

set index [dict create]
set total 0
for {set round 0} {$round < [lindex $argv 0]} {incr round} {
    set rows {}
    for {set number 0} {$number < 500} {incr number} {
        lappend rows [list "name [pick 5000]" [pick 100000] [string repeat x [pick 80]]]
    }
    foreach row [lsort -integer -index 1 $rows] {
        lassign $row name cents note
        dict lappend index $name [list $cents [string length $note]]
        if {[llength [dict get $index $name]] > 8} {dict unset index $name}
        incr total [llength [split "$note $name $cents" { x}]]
    }
    set text [join $rows "\n"]
    incr total [regsub -all {name (\d)(\d+)} $text {\2 \1 name} text]
    incr total [string length [string map {x yz 1 one} $text]]
}
puts "$total [dict size $index]"
