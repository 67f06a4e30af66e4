// Graph-rewrite rules for ONNX; docs/rules.md explains the language.
grammar Rewrite;

file      : (extern | pattern | rule_)* EOF ;

extern    : 'extern' kind=('predicate' | 'function') ID '(' (param (',' param)*)? ')' ';' ;
param     : ID (':' ID)? ;

// ---- pattern: a named fragment of structure, expanded where it is called --------------------
pattern   : 'pattern' ID '(' (ID (',' ID)*)? ')' ('=' choice ';' | block) ;

rule_     : 'rule' qname '{' header* match (where | let)* rewrite? '}' ;
header    : 'doc' STRING+ ';'                     # Doc
          | 'opset' qname cmp INT ';'             # Opset
          | 'benefit' INT ';'                     # Benefit
          | 'keep' ID (',' ID)* ';'               # Keep ;

// ---- match: SSA statements, the last one is the root ----------------------------------------
match     : 'match' block ;
block     : '{' bind+ '}' ;
bind      : target (',' target)* '=' choice ';' ;
target    : ID | '_' ;
choice    : alt ('|' alt)* ;
alt       : optional? term TAG? with? ;
optional  : 'opt' '*'? ;
term      : call | ID | block ;
with      : 'with' ID '=' expr (',' ID '=' expr)* ;
call      : qname '~'? '(' (arg (',' arg)*)? ')' attrs? ;
arg       : '...'                                 # RestArg
          | '(' choice ')'                        # ChoiceArg
          | optional? call                        # CallArg
          | number                                # NumberArg
          | (ID | '_') '?'? (':' constraint)?     # NameArg ;
constraint: 'const' 'scalar'? | 'graph_input' ;
attrs     : '{' attr (',' attr)* '}' ;
attr      : ID '=' literal                        # AttrEquals
          | ID 'in' list                          # AttrOneOf
          | ID ':' ID                             # AttrCapture
          | '!' ID                                # AttrAbsent ;

// ---- where: each clause may say why it failed -----------------------------------------------
where     : 'where' clauses ;
clauses   : '{' clause* '}' ;
clause    : ID '?'? ':' (shape type? | type) ('else' STRING)? ';'  # ValueClause
          | expr ('else' STRING)? ';'                              # HoldsClause
          | 'when' expr clauses ('else' clauses)?                  # WhenClause ;
shape     : '[' (dim (',' dim)*)? ']' ;
dim       : INT | ID '?'? | '_' | '...' ;
type      : DTYPE ('|' DTYPE)* ;

expr      : '(' expr ')'                                        # Paren
          | ID '(' (expr (',' expr)*)? ')'                      # Invoke
          | '-' expr                                            # Negate
          | expr op=('*' | '/' | '%') expr                      # Multiply
          | expr op=('+' | '-') expr                            # Sum
          | expr 'in' items                                     # In
          | expr cmp expr                                       # Compare
          | ID 'is' (TAG | 'present' | 'absent')                # Is
          | 'not' expr                                          # Not
          | expr 'and' expr                                     # And
          | expr 'or' expr                                      # Or
          | 'case' ID '{' arm (',' arm)* '}'                    # Case
          | items                                               # ListItems
          | (INT | FLOAT | 'inf' | STRING | DTYPE)              # Literal_
          | ID                                                  # Ref ;
items     : '[' (expr (',' expr)*)? ']' ;
arm       : (TAG | 'else') '=>' expr ;

let       : 'let' ID '=' expr ';' ;

// ---- rewrite: defines the outputs of the root ------------------------------------------------
rewrite   : 'rewrite' '{' build+ '}' ;
build     : ID (',' ID)* '=' source ';' ;
source    : qname '(' (source (',' source)*)? ')' settings?     # NewNode
          | 'const' '(' expr (',' expr)? ')'                    # NewConstant
          | 'case' ID '{' pick (',' pick)* '}'                  # Pick_
          | 'none'                                              # NoInput
          | ID '?'?                                             # Existing ;
pick      : (TAG | 'else') '=>' source ;
settings  : '{' setting (',' setting)* '}' ;
setting   : ID '=' expr ;

qname     : ID ('.' ID)* ;
literal   : number | STRING | DTYPE | list ;
list      : '[' (literal (',' literal)*)? ']' ;
number    : '-'? (INT | FLOAT | 'inf') ;
cmp       : '==' | '!=' | '<=' | '<' | '>=' | '>' ;

DTYPE     : 'f64' | 'f32' | 'f16' | 'bf16' | 'f8e4m3'
          | 'i64' | 'i32' | 'i16' | 'i8' | 'u64' | 'u32' | 'u16' | 'u8' | 'bool' ;
TAG       : '#' [a-z] [a-z0-9_]* ;
ID        : [A-Za-z] [A-Za-z0-9_]* ;
INT       : [0-9]+ ;
FLOAT     : [0-9]+ '.' [0-9]* ([eE] [+-]? [0-9]+)? | [0-9]+ [eE] [+-]? [0-9]+ ;
STRING    : '"' (~["\\\r\n] | '\\' ~[\r\n])* '"' ;
COMMENT   : '//' ~[\r\n]* -> skip ;
WS        : [ \t\r\n\uFEFF]+ -> skip ;
