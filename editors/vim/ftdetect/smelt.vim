autocmd BufRead,BufNewFile *.smelt setfiletype smelt
