/* What a compiled kernel needs of a GPU, from the ELF file that ptxas writes: registers and local memory of a thread. */
#include "cubin.h"

#include <elf.h>
#include <stdio.h>

/* Attributes in the section .nv.info, each with the index of the kernel's symbol and a value, as cuobjdump and
 * nvdisasm name them. */
enum { EIFMT_SVAL = 4, EIATTR_FRAME_SIZE = 0x11, EIATTR_REGCOUNT = 0x2f };

static int is_elf(const unsigned char *image) { return image && !memcmp(image, ELFMAG, SELFMAG) && image[EI_CLASS] == ELFCLASS64; }

static const Elf64_Shdr *sections_of(const unsigned char *image) {
  return (const Elf64_Shdr *)(image + ((const Elf64_Ehdr *)image)->e_shoff);
}

static const Elf64_Shdr *find_section(const unsigned char *image, const char *name) {
  const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
  const Elf64_Shdr *sections = sections_of(image);
  const char *names = (const char *)image + sections[header->e_shstrndx].sh_offset;
  for (unsigned i = 0; i < header->e_shnum; i++)
    if (!strcmp(names + sections[i].sh_name, name)) return &sections[i];
  return NULL;
}

/* The index of a kernel's symbol, 0 if there is none. */
static uint32_t symbol_of(const unsigned char *image, const char *kernel) {
  const Elf64_Shdr *table = find_section(image, ".symtab");
  if (!table) return 0;
  const Elf64_Sym *symbols = (const Elf64_Sym *)(image + table->sh_offset);
  const char *names = (const char *)image + sections_of(image)[table->sh_link].sh_offset;
  for (uint32_t i = 1; i < table->sh_size / sizeof *symbols; i++)
    if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC && !strcmp(names + symbols[i].st_name, kernel)) return i;
  return 0;
}

struct needs cubin_needs(const void *image, const char *kernel) {
  struct needs needs = {-1, -1};
  if (!is_elf(image)) return needs;
  const Elf64_Shdr *info = find_section(image, ".nv.info");
  uint32_t symbol = symbol_of(image, kernel);
  if (!info || !symbol) return needs;
  const unsigned char *at = (const unsigned char *)image + info->sh_offset, *end = at + info->sh_size;
  while (at + 4 <= end) {
    unsigned format = at[0], attribute = at[1];
    uint16_t size;
    memcpy(&size, at + 2, sizeof size);
    at += 4;
    if (format != EIFMT_SVAL) continue; /* its value is in the two bytes that were read */
    uint32_t pair[2];
    if (size >= sizeof pair && at + sizeof pair <= end) {
      memcpy(pair, at, sizeof pair);
      if (pair[0] == symbol && attribute == EIATTR_REGCOUNT) needs.registers = (int)pair[1];
      if (pair[0] == symbol && attribute == EIATTR_FRAME_SIZE) needs.local_bytes = (int)pair[1];
    }
    at += size;
  }
  return needs;
}

/* The length of an ELF file: the end of its last table or section. */
static size_t length_of(const unsigned char *image) {
  const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
  size_t length = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
  for (unsigned i = 0; i < header->e_shnum; i++) {
    const Elf64_Shdr *section = &sections_of(image)[i];
    size_t end = section->sh_offset + (section->sh_type == SHT_NOBITS ? 0 : section->sh_size);
    if (end > length) length = end;
  }
  size_t parts = header->e_phoff + (size_t)header->e_phnum * header->e_phentsize;
  return parts > length ? parts : length;
}

void *cubin_copy(const void *image) {
  if (!is_elf(image)) return NULL;
  size_t length = length_of(image);
  void *copy = malloc(length);
  return copy ? memcpy(copy, image, length) : NULL;
}

void *cubin_read(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  void *image = NULL;
  if (!fseek(file, 0, SEEK_END)) {
    long length = ftell(file);
    rewind(file);
    image = length > (long)sizeof(Elf64_Ehdr) ? malloc((size_t)length) : NULL;
    int is_whole = image && fread(image, 1, (size_t)length, file) == (size_t)length && is_elf(image) &&
                   length_of(image) <= (size_t)length;
    if (!is_whole) {
      free(image);
      image = NULL;
    }
  }
  fclose(file);
  return image;
}
