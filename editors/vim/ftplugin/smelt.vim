setlocal commentstring=#\ %s shiftwidth=2 expandtab
if executable("smelt")
  setlocal formatprg=smelt\ fmt\ -
endif
