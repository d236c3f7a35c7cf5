# ccache and mold when they are there, and smelt_embed_text.
find_program(CCACHE ccache)
if(CCACHE)
  # Precompiled headers are kept only by a cache that is told not to mind their macros and times.
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# The build id tells the object cache which compiler made an object.
add_link_options(-Wl,--build-id)

# smelt_embed_text(target name files...): compiles the files' text into `target` as
# `const EmbeddedText smelt::embedded_<name>[]`, ended by an entry with a null name.
function(smelt_embed_text target name)
  set(output ${PROJECT_BINARY_DIR}/generated/${name}.cpp)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DNAME=${name} "-DFILES=${ARGN}" -P ${PROJECT_SOURCE_DIR}/cmake/embed_text.cmake
    DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/cmake/embed_text.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
endfunction()
