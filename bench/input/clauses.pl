% Search, terms, sorting and a database of facts that comes and goes.
% usage: swipl clauses.pl -- <rounds>
:- dynamic edge/3.
:- initialization(main, main).

pick(Limit, Value) :-
    nb_getval(state, Old),
    New is (Old * 1103515245 + 12345) mod 2147483648,
    nb_setval(state, New),
    Value is (New >> 8) mod Limit.

round(Sum) :-
    retractall(edge(_, _, _)),
    forall(between(1, 6000, _),
           ( pick(400, From), pick(400, To), pick(90, Cost),
             atom_concat(edge_, Cost, Name), assertz(edge(From, To, Name)) )),
    findall(Cost-path(A, B, C, [X, Y]),
            ( between(0, 40, A), edge(A, B, X), edge(B, C, Y), atom_length(X, One),
              atom_length(Y, Two), Cost is One + Two + C ),
            Paths),
    msort(Paths, Sorted),
    length(Sorted, Length),
    findall(Text, ( member(_-path(_, _, C, _), Sorted), 0 is C mod 16,
                    format(atom(Text), 'node ~d of ~d', [C, Length]) ), Texts),
    sort(Texts, Unique),
    length(Unique, Count),
    Sum is Length + Count.

main([Argument]) :-
    atom_number(Argument, Rounds),
    nb_setval(state, 13),
    findall(Sum, ( between(1, Rounds, _), round(Sum) ), Sums),
    sum_list(Sums, Total),
    writeln(Total).
