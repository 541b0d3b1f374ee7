# cmake --install: libraries, header, CMake package, pkg-config file. The tree may be moved.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/spanmalloc)

install(TARGETS spanmalloc spanmalloc_static EXPORT spanmalloc_targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${relocatable_object} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/spanmalloc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT spanmalloc_targets NAMESPACE spanmalloc:: DESTINATION ${package_dir})

configure_package_config_file(cmake/spanmallocConfig.cmake.in spanmallocConfig.cmake
                              INSTALL_DESTINATION ${package_dir}
                              PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(spanmallocConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/spanmallocConfig.cmake
              ${PROJECT_BINARY_DIR}/spanmallocConfigVersion.cmake
        DESTINATION ${package_dir})

# pkg-config: the prefix follows from where the .pc file lies, unless that is no place below it.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pkgconfig_prefix "${CMAKE_INSTALL_PREFIX}")
  set(pkgconfig_libdir "${CMAKE_INSTALL_FULL_LIBDIR}")
else()
  file(RELATIVE_PATH pkgconfig_to_prefix /${pkgconfig_dir} /)
  string(REGEX REPLACE "/$" "" pkgconfig_to_prefix "${pkgconfig_to_prefix}")
  set(pkgconfig_prefix "\${pcfiledir}/${pkgconfig_to_prefix}")
  set(pkgconfig_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pkgconfig_includedir "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
  set(pkgconfig_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
configure_file(cmake/spanmalloc.pc.in spanmalloc.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/spanmalloc.pc DESTINATION ${pkgconfig_dir})
