// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

/// \file
/// Macros that other people's headers define, which may come before ours. Each breaks what uses its name.

// clang-format off

// complex.h
#define I foreign!macro!
#define complex foreign!macro!
#define imaginary foreign!macro!

// X11/X.h, X11/Xlib.h, X11/Xutil.h
#define Above foreign!macro!
#define Always foreign!macro!
#define Below foreign!macro!
#define Bool foreign!macro!
#define Complex foreign!macro!
#define Convex foreign!macro!
#define CurrentTime foreign!macro!
#define CursorShape foreign!macro!
#define Expose foreign!macro!
#define False foreign!macro!
#define FocusIn foreign!macro!
#define FocusOut foreign!macro!
#define GrayScale foreign!macro!
#define KeyPress foreign!macro!
#define KeyRelease foreign!macro!
#define None foreign!macro!
#define NotUseful foreign!macro!
#define ParentRelative foreign!macro!
#define Status foreign!macro!
#define Success foreign!macro!
#define True foreign!macro!
#define Unsorted foreign!macro!
#define WhenMapped foreign!macro!

// windows.h and what it includes; f2c.h has min, max and abs too
#define ABSOLUTE foreign!macro!
#define CALLBACK foreign!macro!
#define CONST foreign!macro!
#define DELETE foreign!macro!
#define DIFFERENCE foreign!macro!
#define DOMAIN foreign!macro!
#define ERROR foreign!macro!
#define FALSE foreign!macro!
#define FAR foreign!macro!
#define IGNORE foreign!macro!
#define IN foreign!macro!
#define INFINITE foreign!macro!
#define NEAR foreign!macro!
#define NO_ERROR foreign!macro!
#define OPAQUE foreign!macro!
#define OPTIONAL foreign!macro!
#define OUT foreign!macro!
#define OVERFLOW foreign!macro!
#define RELATIVE foreign!macro!
#define STRICT foreign!macro!
#define THIS foreign!macro!
#define TRANSPARENT foreign!macro!
#define TRUE foreign!macro!
#define UNDERFLOW foreign!macro!
#define VOID foreign!macro!
#define cdecl foreign!macro!
#define far foreign!macro!
#define hyper foreign!macro!
#define interface foreign!macro!
#define near foreign!macro!
#define pascal foreign!macro!
#define small foreign!macro!
#define max(a, b) foreign!macro!
#define min(a, b) foreign!macro!
#define GetMessage foreign!macro!
#define GetObject foreign!macro!
#define SendMessage foreign!macro!

// sys/sysmacros.h; sys/param.h
#define major(device) foreign!macro!
#define minor(device) foreign!macro!
#define MAX(a, b) foreign!macro!
#define MIN(a, b) foreign!macro!
#define howmany(x, y) foreign!macro!
#define roundup(x, y) foreign!macro!

// Qt
#define emit foreign!macro!
#define foreach foreign!macro!
#define forever foreign!macro!
#define signals foreign!macro!
#define slots foreign!macro!

// compilers without -std=c++20 but -std=gnu++20
#undef linux
#undef unix
#define linux foreign!macro!
#define unix foreign!macro!
