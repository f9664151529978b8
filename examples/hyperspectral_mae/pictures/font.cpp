// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/font.hpp"

#include <array>
#include <string_view>

namespace hyperspectral {
namespace {

constexpr int glyphs_per_block = 16;

// Six blocks of 16 glyphs side by side, from the space on, so that the drawing can be read and corrected here.
// clang-format off
constexpr std::array<std::string_view, 6 * glyph_height> drawing{
    // (space) ! " # $ % & ' ( ) * + , - . /
    "        #    # #   # #    #   ##  #  ##     #      #   #                                      # ",
    "        #    # #   # #   #### ##  # #  #    #     #     #     #     #                         # ",
    "        #    # #  ##### # #      #  # #    #     #       #  # # #   #                        #  ",
    "        #          # #   ###    #    #           #       #   ###  #####       #####         #   ",
    "        #         #####   # #  #    # # #        #       #  # # #   #                      #    ",
    "                   # #  ####  #  ## #  #          #     #     #     #    ##          ##   #     ",
    "        #          # #    #   #  ##  ## #          #   #                 ##          ##   #     ",
    "                                                                          #                     ",
    "                                                                         #                      ",
    // 0 1 2 3 4 5 6 7 8 9 : ; < = > ?
    " ###    #    ###   ###     #  #####   ##  #####  ###   ###                 #         #     ###  ",
    "#   #  ##   #   # #   #   ##  #      #        # #   # #   #  ##    ##     #           #   #   # ",
    "#  ##   #       #     #  # #  ####  #        #  #   # #   #  ##    ##    #    #####    #      # ",
    "# # #   #     ##    ##  #  #      # ####    #    ###   ####             #               #    #  ",
    "##  #   #    #        # #####     # #   #  #    #   #     #  ##    ##    #    #####    #    #   ",
    "#   #   #   #     #   #    #  #   # #   #  #    #   #    #   ##    ##     #           #         ",
    " ###   ###  #####  ###     #   ###   ###   #     ###   ##           #      #         #      #   ",
    "                                                                   #                            ",
    "                                                                                                ",
    // @ A B C D E F G H I J K L M N O
    " ###   ###  ####   ###  ####  ##### #####  ###  #   #  ###    ### #   # #     #   # #   #  ###  ",
    "#   # #   # #   # #   # #   # #     #     #   # #   #   #      #  #  #  #     ## ## ##  # #   # ",
    "# ### #   # #   # #     #   # #     #     #     #   #   #      #  # #   #     # # # ##  # #   # ",
    "# # # ##### ####  #     #   # ####  ####  # ### #####   #      #  ##    #     # # # # # # #   # ",
    "# ### #   # #   # #     #   # #     #     #   # #   #   #      #  # #   #     #   # #  ## #   # ",
    "#     #   # #   # #   # #   # #     #     #   # #   #   #   #  #  #  #  #     #   # #  ## #   # ",
    " ###  #   # ####   ###  ####  ##### #      #### #   #  ###   ##   #   # ##### #   # #   #  ###  ",
    "                                                                                                ",
    "                                                                                                ",
    // P Q R S T U V W X Y Z [ \ ] ^ _
    "####   ###  ####   #### ##### #   # #   # #   # #   # #   # #####  ###  #      ###    #         ",
    "#   # #   # #   # #       #   #   # #   # #   # #   # #   #     #  #    #        #   # #        ",
    "#   # #   # #   # #       #   #   # #   # #   #  # #   # #     #   #     #       #  #   #       ",
    "####  #   # ####   ###    #   #   # #   # # # #   #     #     #    #      #      #              ",
    "#     # # # # #       #   #   #   # #   # # # #  # #    #    #     #       #     #              ",
    "#     #  #  #  #      #   #   #   #  # #  ## ## #   #   #   #      #        #    #              ",
    "#      ## # #   # ####    #    ###    #   #   # #   #   #   #####  ###      #  ###              ",
    "                                                                                          ##### ",
    "                                                                                                ",
    // ` a b c d e f g h i j k l m n o
    " #          #               #         ##        #       #      #  #      ##                     ",
    "  #         #               #        #  #       #                 #       #                     ",
    "       ###  ####   ###   ####  ###   #     #### ####   ##     ##  #  #    #   ## #  ####   ###  ",
    "          # #   # #   # #   # #   # ###   #   # #   #   #      #  # #     #   # # # #   # #   # ",
    "       #### #   # #     #   # #####  #    #   # #   #   #      #  ##      #   # # # #   # #   # ",
    "      #   # #   # #   # #   # #      #    #   # #   #   #      #  # #     #   # # # #   # #   # ",
    "       #### ####   ###   ####  ###   #     #### #   #  ###     #  #  #   ###  # # # #   #  ###  ",
    "                                              #             #  #                                ",
    "                                           ###               ##                                 ",
    // p q r s t u v w x y z { | } ~ (unknown)
    "                         #                                           ##   #   ##          ##### ",
    "                         #                                          #     #     #         #   # ",
    "####   #### # ##   #### ###   #   # #   # #   # #   # #   # #####   #     #     #    #  # #   # ",
    "#   # #   # ##  # #      #    #   # #   # # # #  # #  #   #    #   #      #      #  # # # #   # ",
    "#   # #   # #      ###   #    #   # #   # # # #   #   #   #   #     #     #     #   #  #  #   # ",
    "#   # #   # #         #  #  # #   #  # #  # # #  # #  #   #  #      #     #     #         #   # ",
    "####   #### #     ####    ##   ####   #    # #  #   #  #### #####    ##   #   ##          ##### ",
    "#         #                                               #               #                     ",
    "#         #                                            ###                                      ",
};
// clang-format on

constexpr bool is_whole() {
  for (auto const line : drawing)
    if (line.size() != glyphs_per_block * glyph_advance) return false;
  return true;
}
static_assert(is_whole(), "font: each line of the drawing holds 16 cells");

} // namespace

bool glyph_dot(char character, int column, int row) {
  int const code = static_cast<unsigned char>(character);
  int const index = code >= 32 && code < 127 ? code - 32 : 127 - 32;
  auto const line = static_cast<std::size_t>(index / glyphs_per_block * glyph_height + row);
  auto const place = static_cast<std::size_t>(index % glyphs_per_block * glyph_advance + column);
  return drawing[line][place] == '#';
}

} // namespace hyperspectral
